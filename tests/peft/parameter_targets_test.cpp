#include "peft/parameter_targets.h"

#include <ATen/ATen.h>

#include <cmath>
#include <functional>

#include "base/file.h"
#include "base/json.h"
#include "peft/family_model.h"

namespace graft {
namespace {

/// fp32 on both sides, sums in another order.
constexpr double kTolerance = 1e-4;

std::map<std::string, at::Tensor> stored_values(const AdapterSet& set) {
  std::map<std::string, at::Tensor> values;
  for (const StoredTensor& stored : set.stored) values[stored.name] = stored.value();
  return values;
}

std::map<std::string, at::Tensor> loaded_values(const std::string& family, const Path& folder) {
  Decoder model = family_model(family);
  return stored_values(load_adapter(model, folder, ZeroAdapter::kRefuse));
}

void expect_same(const std::map<std::string, at::Tensor>& got,
                 const std::map<std::string, at::Tensor>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [name, value] : want) {
    ASSERT_TRUE(got.contains(name)) << name;
    EXPECT_TRUE(at::equal(got.at(name), value)) << name;
  }
}

class ParameterTargets : public ::testing::TestWithParam<const char*> {
 protected:
  Path file(const char* name) const { return kFamilies / GetParam() / name; }
};

TEST_P(ParameterTargets, ExpertsThatPeftSavedAsOneAreTakenApartToTheBit) {
  expect_same(loaded_values(GetParam(), file("resaved")), loaded_values(GetParam(), file("adapter")));
}

TEST_P(ParameterTargets, AnAdapterOnParametersHasTheLogProbabilitiesOfPeft) {
  Decoder model = family_model(GetParam());
  const at::Tensor want = read_tensors(file("parameters/expected.safetensors")).at("log_probs");
  EXPECT_GT(largest_difference(family_log_probs(model, GetParam()), want), 1000 * kTolerance)
      << "it changes nothing";
  load_adapter(model, file("parameters"), ZeroAdapter::kRefuse);
  const double difference = largest_difference(family_log_probs(model, GetParam()), want);
  RecordProperty("largest_difference", std::to_string(difference));
  EXPECT_LT(difference, kTolerance);
}

TEST_P(ParameterTargets, TrainingGoesOnFromThemAndWhatItSavesIsTheSameAgain) {
  for (const char* name : {"resaved", "parameters"}) {
    Decoder model = family_model(GetParam());
    LoraOptions options;
    options.from = file(name).string();
    const AdapterSet set = attach_adapters(model, options, 7);
    EXPECT_EQ(outline_adapters(model, options).modules, set.modules);
    const TestFolder folder;
    save_adapter(set, folder.path(), "", {});
    expect_same(loaded_values(GetParam(), folder.path()), stored_values(set));
    Decoder again = family_model(GetParam());
    load_adapter(again, folder.path(), ZeroAdapter::kRefuse);
    EXPECT_TRUE(at::equal(family_log_probs(again, GetParam()), family_log_probs(model, GetParam()))) << name;
  }
}

/// A copy of an adapter folder whose config was changed.
void copy_with(const Path& from, const Path& to, const std::function<void(Json&)>& change) {
  std::filesystem::copy(from / "adapter_model.safetensors", to / "adapter_model.safetensors");
  Json config = read_json(from / "adapter_config.json");
  change(config);
  write_file(to / "adapter_config.json", to_text(config, 2));
}

TEST_P(ParameterTargets, AShapeThatDoesNotFollowFromTheConfigIsNamed) {
  const TestFolder folder;
  copy_with(file("resaved"), folder.path(), [](Json& config) { config["rank_pattern"] = Json::object(); });
  Decoder model = family_model(GetParam());
  const Error error = error_of([&] { load_adapter(model, folder.path(), ZeroAdapter::kRefuse); });
  EXPECT_EQ(error.code(), ExitCode::kBadInput);
  EXPECT_TRUE(says(error, "experts.base_layer.lora_A.weight")) << error.what();
  EXPECT_TRUE(says(error, "want [10, 32]")) << error.what();
}

TEST_P(ParameterTargets, AParameterWithoutTensorsIsNamed) {
  const TestFolder folder;
  copy_with(file("adapter"), folder.path(), [](Json& config) {
    config["target_modules"] = {"q_proj", "k_proj", "v_proj", "o_proj"};
    config["target_parameters"] = {"embed_tokens.weight", "gate_up_proj", "down_proj", "gate.weight"};
    config["rank_pattern"] = {{"gate_up_proj", 4}};
  });
  Decoder model = family_model(GetParam());
  const Error error = error_of([&] { load_adapter(model, folder.path(), ZeroAdapter::kRefuse); });
  EXPECT_EQ(error.code(), ExitCode::kBadInput);
  EXPECT_TRUE(says(error, "embed_tokens")) << error.what();
}

INSTANTIATE_TEST_SUITE_P(Families, ParameterTargets, ::testing::Values("qwen3_moe", "mixtral"),
                         [](const auto& info) { return std::string(info.param); });

/// The config that is written of fresh adapters with these options, which is read again to the same modules.
Json written_config(const std::string& family, const LoraOptions& options) {
  Decoder model = family_model(family), again = family_model(family);
  const AdapterSet set = attach_adapters(model, options, 7);
  const TestFolder folder;
  save_adapter(set, folder.path(), "", {});
  const AdapterSet read = load_adapter(again, folder.path(), ZeroAdapter::kAccept);
  EXPECT_EQ(read.modules, set.modules);
  for (std::size_t i = 0; i < std::min(read.modules.size(), set.modules.size()); ++i) {
    EXPECT_EQ(read.layout.adapted[i].r, set.layout.adapted[i].r) << set.modules[i];
    EXPECT_NEAR(read.layout.adapted[i].scale, set.layout.adapted[i].scale, 1e-12) << set.modules[i];
  }
  return read_json(folder.path() / "adapter_config.json");
}

LoraOptions with_dropout() {
  LoraOptions options;
  options.r = 4;
  options.alpha = 8;
  options.dropout = 0.1;
  return options;
}

TEST(ExpertTargets, LastNamesSayThemWhereEveryMlpHasExperts) {
  const Json config = written_config("mixtral", with_dropout());
  EXPECT_EQ(config["target_modules"],
            Json({"gate", "k_proj", "o_proj", "q_proj", "v_proj", "w1", "w2", "w3"}));
  EXPECT_FALSE(config.contains("target_parameters"));
  EXPECT_EQ(config["lora_dropout"], 0.0);  // PEFT refuses another value
}

TEST(ExpertTargets, AreParametersWhereAnMlpWithoutExpertsHasTheSameNames) {
  const Json config = written_config("qwen3_moe", with_dropout());
  EXPECT_EQ(config["target_modules"].size(), 3 * 4);
  const Json& parameters = config["target_parameters"];
  EXPECT_EQ(parameters.size(), 2 * 3 + 3);
  const auto has = [&](const char* path) {
    return std::find(parameters.begin(), parameters.end(), path) != parameters.end();
  };
  EXPECT_TRUE(has("model.layers.0.mlp.experts.gate_up_proj"));
  EXPECT_TRUE(has("model.layers.2.mlp.gate.weight"));
  EXPECT_TRUE(has("model.layers.1.mlp.down_proj.weight"));
  EXPECT_EQ(config["rank_pattern"]["mlp\\.experts\\.gate_up_proj"], 8);
  EXPECT_EQ(config["alpha_pattern"]["mlp\\.experts\\.gate_up_proj"], 16);
}

TEST(ExpertTargets, AreParametersWhereScalesOrBlocksAreNotAllTheSame) {
  LoraOptions rslora = with_dropout(), ranks = with_dropout(), layers = with_dropout();
  rslora.use_rslora = true;
  EXPECT_NEAR(
      written_config("mixtral", rslora)["alpha_pattern"]["mlp\\.experts\\.gate_up_proj"].get<double>(),
      8 * std::sqrt(2.0), 1e-9);
  ranks.rank_pattern = {{"w1", 2}, {"w2", 6}};
  ranks.alpha_pattern = {{"w1", 4}};
  const Json ranked = written_config("mixtral", ranks);
  EXPECT_EQ(ranked["rank_pattern"]["mlp\\.experts\\.gate_up_proj"], 6);
  EXPECT_EQ(ranked["rank_pattern"]["mlp\\.experts\\.down_proj"], 6);
  layers.layers_to_transform = {1};
  const Json one = written_config("mixtral", layers);
  EXPECT_EQ(one["target_parameters"].size(), 3);
  EXPECT_TRUE(one["layers_to_transform"].is_null());
}

TEST(ExpertTargets, AreLeftAsTheyAreWhereTheyHaveNoFormAsParameters) {
  LoraOptions options = with_dropout();
  const std::vector<std::vector<std::string>> lists = {{"experts.1.w2", "q_proj"}, {"w1", "w3"}};
  for (const std::vector<std::string>& names : lists) {
    options.target_modules = {.all_linear = false, .names = names};
    const Json config = written_config("mixtral", options);
    EXPECT_FALSE(config.contains("target_parameters"));
    EXPECT_EQ(config["target_modules"], Json(names));
  }
}

}  // namespace
}  // namespace graft
