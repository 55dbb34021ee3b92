#include "adapters/combine.h"

#include <cmath>

#include "peft/adapter_maker.h"

namespace graft {
namespace {

constexpr double kRounding = 2e-6;  // fp32
constexpr double kOfSvd = 1e-4;     // PEFT truncates in fp32, where near singular values mix

const Path kTools = kPeftGolden / "tools";

std::vector<WeightedAdapter> opened(const Json& test) {
  std::vector<WeightedAdapter> adapters;
  for (std::size_t i = 0; i < test["adapters"].size(); ++i) {
    std::string name = test["adapters"][i];
    if (name.ends_with('2')) name.pop_back();  // the same folder under a second name
    adapters.push_back({open_adapter_folder(kTools / name), test["weights"][i].get<double>()});
  }
  return adapters;
}

CombineOptions options_of(const Json& test) {
  return {.method = find_combine_method(test["combination_type"]),
          .rank = test.value("svd_rank", std::int64_t{0}),
          .density = test.value("density", 1.0),
          .majority = test.value("majority_sign_method", std::string()) == "frequency"
                          ? MajoritySign::kFrequency
                          : MajoritySign::kTotal};
}

TEST(Combine, GivesTheProductsThatPeftsAddWeightedAdapterGives) {
  const auto golden = read_tensors(kTools / "expected.safetensors");
  const TestFolder folder;
  const Json cases = read_json(kTools / "cases.json");
  std::set<std::string> methods;
  for (const Json& test : cases) {
    const std::string name = test["name"];
    methods.insert(test["combination_type"].get<std::string>());
    const CombineReport report = combine_adapters(opened(test), options_of(test), folder.path() / name);
    EXPECT_EQ(report.rank, test["rank"].get<std::int64_t>()) << name;
    std::size_t compared = 0;
    for (const auto& [module, product] : products_of(folder.path() / name)) {
      const std::string key = name + "/" + module;
      ASSERT_TRUE(golden.contains(key + "/A")) << key;
      const double tolerance = options_of(test).method.domain == MergeDomain::kProduct ? kOfSvd : kRounding;
      EXPECT_LT(relative_difference(product, golden.at(key + "/B").mm(golden.at(key + "/A"))), tolerance)
          << key;
      ++compared;
    }
    for (const auto& [key, tensor] : golden) compared -= key.starts_with(name + "/") && key.ends_with("/A");
    EXPECT_EQ(compared, 0U) << name;
  }
  EXPECT_EQ(methods.size(), 7U);  // all but the random ones
}

TEST(Combine, CatIsTheWeightedSumExactlyAndLinearSaysHowFarItIs) {
  const Json test = {{"adapters", {"one", "two"}}, {"weights", {0.5, 2.0}}};
  const TestFolder folder;
  CombineOptions options{.method = find_combine_method("cat")};
  const CombineReport cat = combine_adapters(opened(test), options, folder.path() / "cat");
  EXPECT_EQ(cat.rank, 8);
  EXPECT_LT(cat.distance, 1e-6);
  options.method = find_combine_method("linear");
  const CombineReport linear = combine_adapters(opened(test), options, folder.path() / "linear");
  const auto sum = products_of(folder.path() / "cat"), found = products_of(folder.path() / "linear");
  double difference = 0, norm = 0;
  for (const auto& [module, product] : sum) {
    difference += std::pow((found.at(module) - product).norm().item<double>(), 2);
    norm += std::pow(product.norm().item<double>(), 2);
  }
  EXPECT_NEAR(linear.distance, std::sqrt(difference / norm), 1e-5);
  EXPECT_GT(linear.distance, 0.1);
}

TEST(Combine, TheResultIsAPlainLoraThatSaysSo) {
  const TestFolder folder;
  const Json test = {{"adapters", {"two", "three"}},
                     {"weights", {1.0, 1.0}}};  // two: rsLoRA; three: patterns
  combine_adapters(opened(test), {.method = find_combine_method("svd")}, folder.path() / "out");
  const Json config = read_json(folder.path() / "out/adapter_config.json");
  EXPECT_EQ(config["r"], 4);
  EXPECT_EQ(config["lora_alpha"], 4);
  EXPECT_EQ(config["use_rslora"], false);
  EXPECT_EQ(config["rank_pattern"], Json::object());
  EXPECT_EQ(config["alpha_pattern"], Json::object());
  EXPECT_EQ(config["target_modules"],
            (Json{"layers.0.self_attn.k_proj", "layers.0.self_attn.q_proj", "layers.1.self_attn.v_proj"}));
  // A decoder takes it.
  Decoder model = tiny_model();
  EXPECT_EQ(load_adapter(model, folder.path() / "out", ZeroAdapter::kRefuse).modules.size(), 3U);
}

TEST(Combine, TargetsThatCannotBeJoinedBecomePaths) {
  const TestFolder folder;
  MadeAdapter one, two;
  two.config["target_modules"] = ".*[qv]_proj";
  one.write(folder.path() / "one");
  two.write(folder.path() / "two");
  const auto combine = [&](const Path& out) {
    combine_adapters({{open_adapter_folder(folder.path() / "one"), 1.0},
                      {open_adapter_folder(folder.path() / "two"), 1.0}},
                     {.method = find_combine_method("cat")}, out);
    return read_json(out / "adapter_config.json")["target_modules"];
  };
  EXPECT_EQ(combine(folder.path() / "mixed"),
            (Json{"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj"}));
  one.config["target_modules"] = ".*q_proj|.*v_proj";
  one.write(folder.path() / "one");
  EXPECT_EQ(combine(folder.path() / "patterns"), "(.*q_proj|.*v_proj)|(.*[qv]_proj)");
}

TEST(Combine, KeepsTheNarrowTypeThatAllAdaptersHave) {
  const TestFolder folder;
  MadeAdapter one;
  for (auto& [name, tensor] : one.tensors) tensor = tensor.to(at::kBFloat16);
  one.write(folder.path() / "one");
  combine_adapters({{open_adapter_folder(folder.path() / "one"), 1.0}},
                   {.method = find_combine_method("cat")}, folder.path() / "out");
  const SafetensorsFile written(folder.path() / "out/adapter_model.safetensors");
  for (const TensorView& tensor : written.tensors()) EXPECT_EQ(tensor.dtype, DType::kBF16);
}

Error combine_error(const MadeAdapter& one, const MadeAdapter& two, const std::string& method = "cat") {
  const TestFolder folder;
  one.write(folder.path() / "one");
  two.write(folder.path() / "two");
  const Error error = error_of([&] {
    combine_adapters({{open_adapter_folder(folder.path() / "one"), 1.0},
                      {open_adapter_folder(folder.path() / "two"), 1.0}},
                     {.method = find_combine_method(method), .density = 0.5}, folder.path() / "out");
  });
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out"));
  EXPECT_EQ(error.code(), ExitCode::kBadInput) << error.what();
  return error;
}

TEST(Combine, RefusesWhatCannotBeAdded) {
  const std::string q = "model.layers.0.self_attn.q_proj";
  const MadeAdapter good;
  MadeAdapter other;
  other.tensors[MadeAdapter::a_key(q)] = at::randn({4, 11});
  EXPECT_TRUE(says(combine_error(good, other), "its module is [12, 11]"));
  other = MadeAdapter();
  other.config["use_dora"] = true;
  other.tensors["base_model.model." + q + ".lora_magnitude_vector"] = at::randn({12});
  EXPECT_TRUE(says(combine_error(good, other), "use_dora"));
  other = MadeAdapter();
  other.tensors["base_model.model." + q + ".weight"] = at::randn({12, 10});
  EXPECT_TRUE(says(combine_error(good, other), "trained whole, and by A and B"));
  other = MadeAdapter();
  other.config["bias"] = "all";
  EXPECT_TRUE(says(combine_error(good, other), "/bias: combine: got all, want none"));
  other = MadeAdapter();
  other.config["alora_invocation_tokens"] = {5, 6};
  EXPECT_TRUE(says(combine_error(good, other), "/alora_invocation_tokens: combine: got [5,6], want null"));
  other = MadeAdapter();
  other.config["use_bdlora"] = {{"nblocks", 2}};
  EXPECT_TRUE(says(combine_error(good, other), "/use_bdlora: combine: block-diagonal LoRA"));
  other = MadeAdapter();
  other.config["peft_type"] = "IA3";
  EXPECT_TRUE(says(combine_error(good, other), "IA3"));
  other = MadeAdapter();
  other.config["init_lora_weights"] = "pissa";
  EXPECT_TRUE(says(combine_error(good, other), "init_lora_weights"));
  other = MadeAdapter();
  other.tensors.erase(MadeAdapter::b_key(q));
  EXPECT_TRUE(says(combine_error(good, other), "has lora_A and no lora_B"));
  other = MadeAdapter();
  other.tensors[MadeAdapter::b_key(q)][0][0] = NAN;
  EXPECT_TRUE(says(combine_error(good, other), "not finite"));
  other = MadeAdapter();
  other.config["r"] = 8;
  EXPECT_TRUE(says(combine_error(good, other), "got rank 4, want 8"));
  other = MadeAdapter();
  other.add(q, 12, 10, 2);
  other.add("model.layers.0.self_attn.v_proj", 6, 10, 2);
  other.config["r"] = 2;
  EXPECT_TRUE(says(combine_error(good, other, "linear"), "one rank"));
  EXPECT_TRUE(says(combine_error(good, other, "dare_ties"), "one rank"));
}

TEST(Combine, RefusesAnUnknownMethodWithTheNearest) {
  const Error error = error_of([] { find_combine_method("dare_tie"); });
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_EQ(error.hint(), "did you mean dare_ties?");
}

TEST(Combine, DareIsAFunctionOfItsSeed) {
  const TestFolder folder;
  MadeAdapter().write(folder.path() / "one");
  MadeAdapter(1).write(folder.path() / "two");
  const auto combined = [&](const std::string& out, std::uint64_t seed) {
    combine_adapters({{open_adapter_folder(folder.path() / "one"), 1.0},
                      {open_adapter_folder(folder.path() / "two"), 1.0}},
                     {.method = find_combine_method("dare_linear"), .density = 0.5, .seed = seed},
                     folder.path() / out);
    return read_file(folder.path() / out / "adapter_model.safetensors", 1 << 20);
  };
  const std::string first = combined("a", 7);
  EXPECT_EQ(combined("b", 7), first);
  EXPECT_NE(combined("c", 8), first);
}

}  // namespace
}  // namespace graft
