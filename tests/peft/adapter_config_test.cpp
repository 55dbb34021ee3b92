#include "peft/adapter_config.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "peft/config_keys.h"
#include "peft/fixture.h"

namespace graft {
namespace {

AdapterConfig read_config_text(const std::string& text) {
  const TestFolder folder;
  write_file(folder.path() / "adapter_config.json", text);
  return read_adapter_config(folder.path() / "adapter_config.json");
}

/// A legal config with `members` in it.
std::string config_with(const std::string& members) {
  return R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"])" +
         (members.empty() ? "" : ", " + members) + "}";
}

TEST(AdapterConfig, ReadsWhatPeftWrites) {
  const AdapterConfig config = read_adapter_config(kPeftGolden / "subset/adapter_config.json");
  EXPECT_EQ(config.options.r, 3);
  EXPECT_DOUBLE_EQ(config.options.alpha, 4.5);
  EXPECT_FALSE(config.options.use_rslora);
  EXPECT_FALSE(config.options.target_modules.all_linear);
  EXPECT_EQ(config.options.target_modules.names.size(), 3U);
  EXPECT_EQ(config.options.exclude_modules.names, std::vector<std::string>{"layers.0.mlp.gate_proj"});
  EXPECT_EQ(config.base_model, "tiny_llama");
  EXPECT_TRUE(read_adapter_config(kPeftGolden / "rslora/adapter_config.json").options.use_rslora);
  EXPECT_FALSE(
      read_adapter_config(kPeftGolden / "regex/adapter_config.json").options.target_modules.pattern.empty());
}

TEST(AdapterConfig, MissingKeysHavePeftsDefaults) {
  const AdapterConfig config = read_config_text(R"({"peft_type": "LORA", "target_modules": "All-Linear"})");
  EXPECT_EQ(config.options.r, 8);
  EXPECT_DOUBLE_EQ(config.options.alpha, 8.0);
  EXPECT_TRUE(config.options.target_modules.all_linear);
  EXPECT_TRUE(read_config_text(R"({"peft_type": "LORA", "target_modules": null})").default_targets);
}

TEST(AdapterConfig, RefusesEachFeatureItLacksByKey) {
  const std::vector<std::pair<std::string, std::string>> features = {
      {"bias", R"("some")"},
      {"trainable_token_indices", R"({"lm_head": [1]})"},
      {"layer_replication", "[[0, 1]]"},
      {"alora_invocation_tokens", "[1]"},
      {"use_qalora", "true"},
      {"use_bdlora", R"({"nblocks": 2})"},
      {"arrow_config", R"({"top_k": 2})"},
      {"kasa_config", R"({"a": 1})"},
      {"enable_lora", "[true, false, true]"},
      {"use_mora", "true"},
      {"init_lora_weights", R"("loftq")"},
      {"init_lora_weights", R"("corda")"},
      {"init_lora_weights", R"("lora_ga")"},
      {"init_lora_weights", R"("pissa_niter_4")"}};
  for (const auto& [key, value] : features) {
    const Error error =
        error_of([&, k = key, v = value] { read_config_text(config_with("\"" + k + "\": " + v)); });
    EXPECT_EQ(error.code(), ExitCode::kBadInput) << key;
    EXPECT_TRUE(says(error, "/" + key)) << error.what();
    EXPECT_TRUE(says(error, "adapter_config.json")) << error.what();
  }
}

// Fields and defaults of PEFT's classes (scripts/golden/peft_fields.py).
TEST(AdapterConfig, HasAVerdictOnEveryFieldOfPeftAndTakesItsDefault) {
  const Json classes = read_json(kPeftGolden / "config_fields.json");
  ASSERT_EQ(classes.size(), 3U);
  for (const auto& [type, fields] : classes.items()) {
    for (const auto& [key, value] : fields.items()) {
      EXPECT_TRUE(std::any_of(config_keys().begin(), config_keys().end(),
                              [&, name = key](const ConfigKey& row) { return row.key == name; }))
          << type << " " << key;
      Json config = {{"peft_type", type}, {"target_modules", {"q_proj"}}, {"lora_alpha", 8}};
      if (key != "peft_type" && key != "target_modules") config[key] = value;
      testing::internal::CaptureStderr();
      EXPECT_NO_THROW(read_config_text(to_text(config))) << type << " " << key;
      EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << type;
    }
  }
}

TEST(AdapterConfig, ReadsEachOptionOfLora) {
  const LoraOptions options =
      read_config_text(config_with(
                           R"("use_dora": true, "rank_pattern": {"b": 3, "a": 2}, "alpha_pattern": {"a": 2.5},
      "modules_to_save": ["lm_head"], "trainable_token_indices": {"embed_tokens": [4, 1]}, "bias": "lora_only", "lora_bias": true, "ensure_weight_tying": true,
      "layers_to_transform": 0, "layers_pattern": "h")"))
          .options;
  EXPECT_EQ(options.method, AdapterMethod::kDora);
  EXPECT_TRUE(options.lora_bias);
  EXPECT_TRUE(options.ensure_weight_tying);
  EXPECT_EQ(options.rank_pattern, (ModulePattern<std::int64_t>{{"b", 3}, {"a", 2}}));  // order of the file
  EXPECT_EQ(options.alpha_pattern, (ModulePattern<double>{{"a", 2.5}}));
  EXPECT_EQ(options.modules_to_save, std::vector<std::string>{"lm_head"});
  EXPECT_EQ(options.trainable_tokens, (std::vector<std::int64_t>{4, 1}));
  EXPECT_EQ(options.bias, TrainedBias::kLoraOnly);
  EXPECT_EQ(options.layers_to_transform, std::vector<std::int64_t>{0});  // a layer, not "off"
  EXPECT_EQ(options.layers_pattern, std::vector<std::string>{"h"});
}

TEST(AdapterConfig, WritesPatternsInTheirOwnOrderForTheFirstCounts) {
  LoraOptions options;
  options.rank_pattern = {{"v_proj", 3}, {".*", 2}};
  options.init = LoraInit::kPissa;  // written with what is subtracted again: twice the rank, the same scale
  const Json config = adapter_config_json(options, {"q_proj"}, "");
  EXPECT_EQ(to_text(config["rank_pattern"]), R"({"v_proj":6,".*":4})");
  EXPECT_EQ(to_text(config["lora_alpha"]), "64");
  EXPECT_EQ(to_text(config["init_lora_weights"]), "true");
}

TEST(AdapterConfig, WhereATypeHasNoKeyForItModulesAreNamedOneByOne) {
  const std::vector<std::string> modules = {"model.layers.1.mlp.up_proj"};
  LoraOptions options;
  options.method = AdapterMethod::kIa3;
  options.layers_to_transform = {1};
  const Json vectors = adapter_config_json(options, modules, "");
  EXPECT_EQ(vectors["target_modules"], Json(modules));
  EXPECT_FALSE(vectors.contains("layers_to_transform"));
  options.method = AdapterMethod::kVera;
  EXPECT_EQ(adapter_config_json(options, modules, "")["target_modules"], Json({"up_proj"}));
  options.exclude_modules.names = {"down_proj"};
  const Json vera = adapter_config_json(options, modules, "");
  EXPECT_EQ(vera["target_modules"], Json(modules));
  EXPECT_FALSE(vera.contains("exclude_modules"));
}

TEST(AdapterConfig, AcceptsTheSameFeaturesSwitchedOff) {
  EXPECT_EQ(read_config_text(
                config_with(R"("use_dora": false, "rank_pattern": {}, "modules_to_save": null, "bias": "none",
      "layers_to_transform": [], "init_lora_weights": "gaussian", "some_future_key": 1)"))
                .options.r,
            4);
}

TEST(AdapterConfig, RefusesMalformedValues) {
  for (const char* members : {R"("lora_dropout": 1.0)", R"("lora_dropout": "a")", R"("use_rslora": 1)",
                              R"("exclude_modules": "all-linear")"})
    EXPECT_THROW(read_config_text(config_with(members)), Error) << members;
  for (const char* text :
       {R"({"peft_type": "LORA", "r": 0})", R"({"peft_type": "LORA", "r": 2.5})",
        R"({"peft_type": "LORA", "r": -1})", R"({"peft_type": "LORA", "target_modules": 3})",
        R"({"peft_type": "LORA", "target_modules": [3]})", R"({"peft_type": "LOHA"})", R"({"r": 4})", R"([])",
        R"({"peft_type": "LORA")", ""})
    EXPECT_THROW(read_config_text(text), Error) << text;
}

TEST(AdapterConfig, WritesSortedKeysThatReadBackTheSame) {
  LoraOptions options;
  options.r = 4;
  options.alpha = 4.5;
  options.dropout = 0.1;
  options.use_rslora = true;
  options.exclude_modules.names = {"o_proj"};
  const Json config =
      adapter_config_json(options,
                          {"model.layers.0.self_attn.v_proj", "model.layers.0.self_attn.q_proj",
                           "model.layers.1.self_attn.q_proj"},
                          "base");
  std::vector<std::string> keys;
  for (const auto& [key, value] : config.items()) keys.push_back(key);
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  EXPECT_EQ(config["target_modules"], Json({"q_proj", "v_proj"}));
  EXPECT_EQ(config["init_lora_weights"], Json(true));
  const AdapterConfig read = read_config_text(to_text(config, 2));
  EXPECT_EQ(read.options.r, options.r);
  EXPECT_DOUBLE_EQ(read.options.alpha, options.alpha);
  EXPECT_DOUBLE_EQ(read.options.dropout, options.dropout);
  EXPECT_TRUE(read.options.use_rslora);
  EXPECT_EQ(read.options.exclude_modules, options.exclude_modules);
  EXPECT_EQ(read.base_model, "base");
}

TEST(AdapterConfig, WritesAWholeAlphaAsAnIntegerAsPeftDoes) {
  LoraOptions options;
  options.alpha = 32.0;
  EXPECT_EQ(to_text(adapter_config_json(options, {"q_proj"}, "")["lora_alpha"]), "32");
  options.alpha = 4.5;
  EXPECT_EQ(to_text(adapter_config_json(options, {"q_proj"}, "")["lora_alpha"]), "4.5");
}

TEST(AdapterConfig, WritesAPatternAsAString) {
  LoraOptions options;
  options.target_modules = {.all_linear = false, .pattern = ".*q_proj"};
  EXPECT_EQ(adapter_config_json(options, {"a.q_proj"}, "")["target_modules"], Json(".*q_proj"));
}

}  // namespace
}  // namespace graft
