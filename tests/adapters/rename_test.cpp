#include "adapters/rename.h"

#include "peft/adapter_maker.h"
#include "peft/identity_record.h"

namespace graft {
namespace {

MadeAdapter prefixed(const std::string& before, const std::string& after = "") {
  MadeAdapter made;
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [key, tensor] : made.tensors) {
    std::string name = key;
    name.replace(0, kAdapterKeyPrefix.size(), before);
    if (!after.empty()) name.replace(name.rfind(".weight"), 0, after);
    tensors[name] = tensor;
  }
  made.tensors = tensors;
  return made;
}

std::vector<std::string> names_in(const Path& folder) {
  std::vector<std::string> names;
  const SafetensorsFile written(folder / "adapter_model.safetensors");
  for (const TensorView& tensor : written.tensors()) names.push_back(tensor.name);
  return names;
}

TEST(Rename, RepairsNamesByteForByte) {
  const MadeAdapter right;
  std::vector<std::string> wanted;
  for (const auto& [name, tensor] : right.tensors) wanted.push_back(name);
  for (const auto& made :
       {prefixed(""), prefixed("module.base_model.model."), prefixed("base_model.model._orig_mod."),
        prefixed("base_model.model.", ".default")}) {
    const TestFolder folder;
    made.write(folder.path() / "in");
    const RenamedKeys renamed =
        rename_adapter(open_adapter_folder(folder.path() / "in"), {}, folder.path() / "out");
    EXPECT_EQ(renamed.size(), 4U);
    EXPECT_EQ(names_in(folder.path() / "out"), wanted);
    const auto values = read_tensors(folder.path() / "out/adapter_model.safetensors");
    for (const auto& [name, tensor] : right.tensors) EXPECT_TRUE(values.at(name).equal(tensor)) << name;
  }
}

TEST(Rename, MovesPathsInTensorsConfigAndFingerprintTogether) {
  const TestFolder folder;
  MadeAdapter made = prefixed("base_model.model.model.language_model.");
  made.tensors.clear();
  made.add("model.language_model.layers.0.q_proj", 12, 10, 4);
  made.add("model.language_model.layers.1.q_proj", 12, 10, 2);
  made.config["target_modules"] = {"model.language_model.layers.0.q_proj",
                                   "model.language_model.layers.1.q_proj"};
  made.config["rank_pattern"] = {{"model.language_model.layers.1.q_proj", 2}};
  made.config["alpha_pattern"] = {{R"(model\.language_model\.layers\.1.*)", 5}};
  made.metadata[kBaseHashKey] = "abc";
  made.metadata[kBaseFingerprintKey] =
      R"({"version":1,"weights":{"model.language_model.layers.0.q_proj":{"shape":[12,10],"at":[5,-17]}}})";
  made.write(folder.path() / "in");
  const auto before = products_of(folder.path() / "in");
  rename_adapter(open_adapter_folder(folder.path() / "in"), PrefixChange{"model.language_model", "model"},
                 folder.path() / "out");
  const auto after = products_of(folder.path() / "out");
  for (const auto& [module, product] : before) {
    std::string name = module;
    name.erase(5, std::string(".language_model").size());
    EXPECT_LT(relative_difference(after.at(name), product), 1e-14);
  }
  const Json config = read_json(folder.path() / "out/adapter_config.json");
  EXPECT_EQ(config["target_modules"], (Json{"model.layers.0.q_proj", "model.layers.1.q_proj"}));
  EXPECT_EQ(config["rank_pattern"], (Json{{"model.layers.1.q_proj", 2}}));
  EXPECT_EQ(config["alpha_pattern"],
            (Json{{"model.layers.1.q_proj", 5}}));  // the expression could not follow
  const SafetensorsFile file(folder.path() / "out/adapter_model.safetensors");
  EXPECT_FALSE(file.metadata().contains(kBaseHashKey));
  const Json record = parse_json(file.metadata().at(kBaseFingerprintKey), "record");
  EXPECT_EQ(record["weights"]["model.layers.0.q_proj"]["at"], (Json{5, -17}));
}

TEST(Rename, ReplacesAnExpressionThatNoLongerMatches) {
  const TestFolder folder;
  MadeAdapter made;
  made.config["target_modules"] = R"(model\.layers\.0\..*)";
  made.write(folder.path() / "in");
  rename_adapter(open_adapter_folder(folder.path() / "in"), PrefixChange{"model", "text"},
                 folder.path() / "out");
  EXPECT_EQ(read_json(folder.path() / "out/adapter_config.json")["target_modules"],
            (Json{"text.layers.0.self_attn.q_proj", "text.layers.0.self_attn.v_proj"}));
}

TEST(Rename, EmptySidesAddAndRemovePrefixes) {
  const TestFolder folder;
  MadeAdapter().write(folder.path() / "in");
  rename_adapter(open_adapter_folder(folder.path() / "in"), PrefixChange{"", "outer"},
                 folder.path() / "more");
  EXPECT_EQ(open_adapter_folder(folder.path() / "more").pairs.front().module,
            "outer.model.layers.0.self_attn.q_proj");
  rename_adapter(open_adapter_folder(folder.path() / "more"), PrefixChange{"outer.model", ""},
                 folder.path() / "less");
  EXPECT_EQ(open_adapter_folder(folder.path() / "less").pairs.front().module, "layers.0.self_attn.q_proj");
}

TEST(Rename, MistakesAreNamedAndWriteNothing) {
  const TestFolder folder;
  MadeAdapter made;
  made.write(folder.path() / "in");
  const Error none = error_of([&] {
    rename_adapter(open_adapter_folder(folder.path() / "in"), PrefixChange{"model.layer", "x"},
                   folder.path() / "out");
  });
  EXPECT_EQ(none.code(), ExitCode::kUsage);
  EXPECT_EQ(none.hint(), "did you mean model.layers?");
  made.tensors["model.layers.0.self_attn.q_proj.weight"] = at::ones({2});
  made.tensors["base_model.model.model.layers.0.self_attn.q_proj.weight"] = at::ones({2});
  made.write(folder.path() / "in");
  const Error twice =
      error_of([&] { rename_adapter(open_adapter_folder(folder.path() / "in"), {}, folder.path() / "out"); });
  EXPECT_TRUE(says(twice, "both become")) << twice.what();
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out"));
}

}  // namespace
}  // namespace graft
