#include "peft/adapter_folder.h"

#include "adapters/difference.h"
#include "peft/adapter_maker.h"
#include "adapters/report.h"
#include "peft/identity_record.h"
#include "peft/module_scale.h"

namespace graft {
namespace {

TEST(AdapterFolder, PairsFactorsWithTheScaleOfTheirModule) {
  const AdapterFolder adapter = open_adapter_folder(kPeftGolden / "tools/three");
  ASSERT_EQ(adapter.pairs.size(), 2U);
  EXPECT_EQ(adapter.pairs[0].module, "model.layers.0.self_attn.k_proj");
  EXPECT_DOUBLE_EQ(adapter.pairs[0].scale, 1.5 / 2);  // alpha_pattern
  EXPECT_DOUBLE_EQ(adapter.pairs[1].scale, 3.0 / 3);  // rank_pattern
  const AdapterFolder embedding = open_adapter_folder(kPeftGolden / "tools/embedding");
  ASSERT_EQ(embedding.pairs.size(), 1U);
  EXPECT_TRUE(embedding.pairs[0].of_embedding);
  EXPECT_EQ(embedding.pairs[0].rank(), 2);
}

TEST(AdapterFolder, HostileFoldersAreOneClearError) {
  const std::string q = MadeAdapter::a_key("model.layers.0.self_attn.q_proj");
  struct Case {
    std::function<void(MadeAdapter&)> change;
    const char* says;
  };
  const std::vector<Case> cases = {
      {[](auto& a) { a.config.erase("peft_type"); }, "peft_type"},
      {[](auto& a) { a.config["peft_type"] = 3; }, "/peft_type"},
      {[](auto& a) { a.config["r"] = 0; }, "want an integer from 1"},
      {[](auto& a) { a.config["r"] = 1e30; }, "want an integer from 1"},
      {[](auto& a) { a.config["r"] = "four"; }, "/r"},
      {[](auto& a) {
         a.config["rank_pattern"] = {{"q_proj", 0}};
       },
       "q_proj"},
      {[](auto& a) {
         a.config["rank_pattern"] = {{"q_proj", -4}};
       },
       "q_proj"},
      {[](auto& a) {
         a.config["rank_pattern"] = {{"(", 4}};
       },
       "("},
      {[](auto& a) { a.config["alpha_pattern"] = {1}; }, "/alpha_pattern"},
      {[](auto& a) { a.config["lora_alpha"] = "x"; }, "/lora_alpha"},
      {[](auto& a) { a.config["use_rslora"] = "yes"; }, "/use_rslora"},
      {[&](auto& a) { a.tensors[q] = at::ones({4}); }, "want a matrix"},
      {[&](auto& a) {
         a.tensors[q] = at::ones({0, 10});
       },
       "want a matrix"},
      {[&](auto& a) {
         a.tensors[q] = at::ones({5, 10});
       },
       "as lora_A is [5, 10]"},
      {[&](auto& a) {
         a.tensors[q] = at::ones({4, 10}, at::kLong);
       },
       "got type i64"},
      {[&](auto& a) { a.tensors[q][2][3] = NAN; }, "not finite"},
      {[&](auto& a) { a.tensors["model.layers.0.self_attn.q_proj.lora_A.weight"] = a.tensors[q]; },
       "also holds"},
      {[](auto& a) { a.metadata[kBaseFingerprintKey] = "{"; }, kBaseFingerprintKey},
      {[](auto& a) {
         a.metadata[kBaseFingerprintKey] = R"({"weights": {"q": {"shape": [1, 0], "at": [1]}}})";
       },
       "/shape/1"},
  };
  for (const Case& test : cases) {
    const TestFolder folder;
    MadeAdapter made;
    test.change(made);
    made.write(folder.path() / "a");
    const Error error = error_of([&] { report_adapter(open_adapter_folder(folder.path() / "a")); });
    EXPECT_TRUE(says(error, test.says)) << test.says << ": " << error.what();
    EXPECT_EQ(error.code() == ExitCode::kBadInput || error.code() == ExitCode::kUsage, true) << error.what();
  }
}

TEST(AdapterFolder, APickleIsRefusedAndAMissingFolderNamed) {
  const TestFolder folder;
  EXPECT_TRUE(says(error_of([&] { open_adapter_folder(folder.path() / "nowhere"); }), "no such folder"));
  write_file(folder.path() / "adapter_model.bin", "x");
  EXPECT_TRUE(says(error_of([&] { open_adapter_folder(folder.path()); }), "pickle"));
}

TEST(ModuleScale, WrittenScalesAreReadBack) {
  const std::vector<std::string> modules = {"layers.0.q", "layers.1.q", "layers.0.k"};
  const std::vector<ModuleScale> scales = {{4, 2.0}, {8, 2.0}, {4, 0.37}};
  for (const bool rslora : {false, true}) {
    Json config = {{"use_rslora", rslora}, {"init_lora_weights", "orthogonal"}};
    set_scales(config, modules, scales);
    const std::vector<ModuleScale> read = scales_of({config, "config"}, modules);
    for (std::size_t i = 0; i < scales.size(); ++i) {
      EXPECT_EQ(read[i].rank, scales[i].rank);
      EXPECT_NEAR(read[i].scale, scales[i].scale, 1e-15);
    }
    EXPECT_EQ(config["init_lora_weights"], true);
    EXPECT_EQ(config["r"], 4);
  }
}

TEST(ModuleScale, TheFirstPatternInFileOrderCounts) {
  const Json config =
      parse_json(R"({"r": 4, "lora_alpha": 4, "alpha_pattern": {"q": 8, "layers.0.q": 12}})", "c");
  const auto scales = scales_of({config, "c"}, {"layers.0.q", "layers.0.k", "layers.0.xq"});
  EXPECT_EQ(scales[0].scale, 2.0);
  EXPECT_EQ(scales[1].scale, 1.0);
  EXPECT_EQ(scales[2].scale, 1.0);  // no dot before q
}

TEST(AdapterDifference, TellsModulesBothHaveAndThoseOneHas) {
  const TestFolder folder;
  MadeAdapter one, two;
  two.tensors.clear();
  two.add("model.layers.0.self_attn.q_proj", 12, 10, 4);
  two.add("model.layers.0.self_attn.k_proj", 6, 10, 4);
  two.config["use_rslora"] = true;
  one.tensors["base_model.model.lm_head.weight"] = at::ones({3, 3});
  one.write(folder.path() / "one");
  two.write(folder.path() / "two");
  const AdapterDifference found = compare_adapters(open_adapter_folder(folder.path() / "one"),
                                                   open_adapter_folder(folder.path() / "two"));
  const auto first = products_of(folder.path() / "one"), second = products_of(folder.path() / "two");
  const std::string q = "model.layers.0.self_attn.q_proj", k = "model.layers.0.self_attn.k_proj",
                    v = "model.layers.0.self_attn.v_proj";
  ASSERT_EQ(found.modules.size(), 1U);
  EXPECT_NEAR(found.modules[0].of.norm, (first.at(q) - second.at(q)).norm().item<double>(), 1e-9);
  EXPECT_EQ(found.only_first, std::vector<std::string>{v});
  EXPECT_EQ(found.only_second, std::vector<std::string>{k});
  ASSERT_EQ(found.other_tensors.size(), 1U);
  EXPECT_EQ(found.other_tensors[0].name, "base_model.model.lm_head.weight");
  const double total =
      at::cat({(first.at(q) - second.at(q)).flatten(), first.at(v).flatten(), second.at(k).flatten()})
          .norm()
          .item<double>();
  EXPECT_NEAR(found.total.norm, total, 1e-8);
}

TEST(IdentityRecord, AdaptersOfTwoBasesAreToldApart) {
  const auto record = [](std::int64_t step, std::int64_t sign) {
    Json places = Json::array();
    for (std::int64_t row = 0; row < 40; ++row) places.push_back(sign * (row * 10 + (row * step) % 10 + 1));
    const Json fingerprint = {{"version", 1}, {"weights", {{"q", {{"shape", {40, 10}}, {"at", places}}}}}};
    return AdapterMetadata{{kBaseFingerprintKey, to_text(fingerprint)}, {kBaseHashKey, std::to_string(step)}};
  };
  EXPECT_TRUE(may_share_base(record(3, 1), record(3, 1), "a"));
  EXPECT_FALSE(may_share_base(record(3, 1), record(3, -1), "a"));
  EXPECT_FALSE(may_share_base(record(3, 1), record(7, 1), "a"));
  EXPECT_TRUE(may_share_base(record(3, 1), {}, "a"));
  EXPECT_FALSE(joined_identity(record(3, 1), record(7, 1)).contains(kBaseHashKey));
  EXPECT_EQ(joined_identity(record(3, 1), record(3, 1)), record(3, 1));
  EXPECT_EQ(recorded_signs(record(3, 1), "a"), 40);
  EXPECT_EQ(recorded_signs({}, "a"), std::nullopt);
}

}  // namespace
}  // namespace graft
