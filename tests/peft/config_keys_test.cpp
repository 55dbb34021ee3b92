#include "peft/config_keys.h"

#include <gtest/gtest.h>

#include <set>

#include "base/file.h"
#include "peft/adapter_config.h"
#include "peft/fixture.h"

namespace graft {
namespace {

AdapterConfig read_config_text(const std::string& text) {
  const TestFolder folder;
  write_file(folder.path() / "adapter_config.json", text);
  return read_adapter_config(folder.path() / "adapter_config.json");
}

/// A config as it lies in public repositories, shortened, and what becomes of it.
struct Shape {
  const char* name;
  const char* text;
  const char* says = "";  ///< part of the warning, or of the error
  std::int64_t r = 0;     ///< 0: refused
  double alpha = 0.0;
  std::size_t targets = 0;  ///< names; 0: an expression, all linears or PEFT's default
};

const Shape kShapes[] = {
    {"PEFT 0.2, fused linears off",
     R"({"base_model_name_or_path": "x", "bias": "none", "enable_lora": null, "fan_in_fan_out": false,
           "inference_mode": true, "lora_alpha": 128.0, "lora_dropout": 0.05, "merge_weights": false,
           "modules_to_save": ["embed_tokens", "lm_head"], "peft_type": "LORA", "r": 64,
           "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"})",
     "", 64, 128, 2},
    {"PEFT 0.2, a fused linear",
     R"({"enable_lora": [true, false, true], "peft_type": "LORA", "r": 8, "lora_alpha": 32,
           "target_modules": ["c_attn"], "merge_weights": true})",
     "/enable_lora: adapters of parts of one fused linear"},
    {"PEFT 0.5",
     R"({"auto_mapping": null, "bias": "none", "init_lora_weights": true, "layers_pattern": null,
           "layers_to_transform": null, "lora_alpha": 16, "lora_dropout": 0.1, "modules_to_save": null,
           "peft_type": "LORA", "r": 64, "revision": null, "target_modules": ["q_proj", "v_proj"]})",
     "", 64, 16, 2},
    {"PEFT 0.7 of GPT-2",
     R"({"alpha_pattern": {}, "fan_in_fan_out": true, "loftq_config": {}, "lora_alpha": 32,
           "megatron_config": null, "megatron_core": "megatron.core", "peft_type": "LORA", "r": 8,
           "rank_pattern": {}, "target_modules": ["c_proj", "c_attn"]})",
     "/fan_in_fan_out: of bases that store weights transposed", 8, 32, 2},
    {"PEFT 0.12, of a trainer with a revision, names twice",
     R"({"layer_replication": null, "lora_alpha": 16, "lora_dropout": 0, "peft_type": "LORA", "r": 16,
           "revision": "unsloth", "target_modules": ["q_proj", "v_proj", "q_proj"], "use_dora": false,
           "use_rslora": false})",
     "", 16, 16, 3},
    {"PEFT 0.15 of an image model",
     R"({"auto_mapping": {"base_model_class": "UNet2DConditionModel", "parent_library": "diffusers"},
           "base_model_name_or_path": null, "corda_config": null, "eva_config": null,
           "exclude_modules": null, "lora_alpha": 40, "lora_bias": false, "peft_type": "LORA", "r": 16,
           "target_modules": ["to_q", "to_out.0"], "task_type": null, "trainable_token_indices": null})",
     "", 16, 40, 2},
    {"PEFT 0.18, whole paths",
     R"({"alora_invocation_tokens": null, "arrow_config": null, "ensure_weight_tying": false,
           "lora_alpha": 32, "peft_type": "LORA", "peft_version": "0.18.1", "qalora_group_size": 16, "r": 2,
           "target_modules": ["model.layers.31.self_attn.q_proj", "model.layers.31.mlp.down_proj"],
           "target_parameters": null, "use_qalora": false})",
     "", 2, 32, 2},
    {"PEFT 0.19, an expression",
     R"({"lora_alpha": 32, "lora_ga_config": null, "peft_type": "LORA", "peft_version": "0.19.1", "r": 16,
           "target_modules": ".*language_model.*\\.(q_proj|down_proj)$", "use_bdlora": null})",
     "", 16, 32, 0},
    {"of a classifier",
     R"({"lora_alpha": 32, "modules_to_save": ["classifier", "score"], "peft_type": "LORA", "r": 8,
           "target_modules": ["query", "value"], "task_type": "SEQ_CLS"})",
     "", 8, 32, 2},
    {"with an evaluation's words, unknown to PEFT",
     R"({"lora_alpha": 8, "peft_type": "LORA", "r": 8, "target_modules": ["q_proj"], "my_note": "best"})",
     "/my_note: graft does not know this key", 8, 8, 1},
    {"rank and alpha by whole paths",
     R"({"peft_type": "LORA", "r": 16, "lora_alpha": 16, "target_modules": "all-linear",
           "rank_pattern": {"model.layers.0.self_attn.q_proj": 4, "^model.layers.1.mlp.*": 2},
           "alpha_pattern": {"model.layers.0.self_attn.q_proj": 8.5}})",
     "", 16, 16, 0},
    {"nothing but a type", R"({"peft_type": "LORA"})", "", 8, 8, 0},
    {"a rank alone", R"({"peft_type": "LORA", "r": 16, "target_modules": ["q_proj"]})",
     "has r and no lora_alpha: PEFT takes 8, a scale of 0.5", 16, 8, 1},
    {"null where PEFT has an empty dict", R"({"peft_type": "LORA", "r": 4, "lora_alpha": 4,
           "rank_pattern": null, "alpha_pattern": null, "loftq_config": null, "bias": null,
           "lora_dropout": null, "use_rslora": null, "target_modules": ["q_proj"]})",
     "", 4, 4, 1},
    {"trained with other activations and with noise",
     R"({"peft_type": "LORA", "r": 4, "lora_alpha": 4, "target_modules": ["q_proj"],
           "velora_config": {"num_groups": 4, "scale": 1.0, "init_type": "random"},
           "monteclora_config": {"num_samples": 8}, "megatron_config": {"hidden_size": 8},
           "init_lora_weights": "MiCA"})",
     "", 4, 4, 1},
    {"activated", R"({"peft_type": "LORA", "r": 32, "lora_alpha": 64, "target_modules": ["q_proj"],
           "alora_invocation_tokens": [27, 123, 29]})",
     "/alora_invocation_tokens: activated LoRA"},
    {"block-diagonal", R"({"peft_type": "LORA", "r": 32, "lora_alpha": 64, "target_modules": ["q_proj"],
           "use_bdlora": {"nblocks": 2, "target_modules_bd_a": ["q_proj"]}})",
     "/use_bdlora: block-diagonal LoRA"},
    {"of mlx-lm", R"({"adapter_path": "adapters", "lora_layers": 16, "model": "m",
           "lora_parameters": {"rank": 8, "alpha": 16, "scale": 10.0}})",
     "peft_type is missing"},
    {"of another program", R"({"base_model": "someone/base"})", "peft_type is missing"},
    {"in small letters", R"({"peft_type": "lora", "r": 8, "lora_alpha": 8, "target_modules": ["q_proj"]})",
     "PEFT writes \"LORA\""},
    {"numbers in quotes",
     R"({"peft_type": "LORA", "r": 8, "lora_alpha": "16", "target_modules": ["q_proj"]})",
     "/lora_alpha: got the string \"16\", want a number"},
    {"a rank that is null",
     R"({"peft_type": "LORA", "r": null, "lora_alpha": 16, "target_modules": ["q_proj"]})",
     "/r: got null, want a number"},
};

TEST(ConfigKeys, ConfigsAsTheyLieAboutAreReadAsPeftReadsThemOrRefusedByName) {
  for (const Shape& shape : kShapes) {
    testing::internal::CaptureStderr();
    std::optional<AdapterConfig> config;
    std::string said;
    try {
      config = read_config_text(shape.text);
    } catch (const Error& error) {
      said = error.what();
      EXPECT_EQ(error.code(), ExitCode::kBadInput) << shape.name;
    }
    said += testing::internal::GetCapturedStderr();
    ASSERT_EQ(config.has_value(), shape.r != 0) << shape.name << ": " << said;
    EXPECT_TRUE(said.empty() || !std::string_view(shape.says).empty()) << shape.name << ": " << said;
    EXPECT_NE(said.find(shape.says), std::string::npos) << shape.name << ": " << said;
    if (!config) continue;
    EXPECT_EQ(config->options.r, shape.r) << shape.name;
    EXPECT_EQ(config->options.alpha, shape.alpha) << shape.name;
    EXPECT_EQ(config->options.target_modules.names.size(), shape.targets) << shape.name;
  }
}

TEST(ConfigKeys, EachIsThereOnceAndWhatIsRefusedSaysWhyAndWhatToDo) {
  std::set<std::string> names;
  for (const ConfigKey& key : config_keys()) {
    EXPECT_TRUE(names.insert(key.key).second) << key.key;
    const bool refused = key.verdict == KeyVerdict::kRefused;
    EXPECT_EQ(std::string_view(key.meaning).empty(), !refused) << key.key;
    EXPECT_EQ(std::string_view(key.remedy).empty(), !refused) << key.key;
  }
}

TEST(ConfigKeys, WhatHasNoEffectMayHoldAnything) {
  for (const ConfigKey& key : config_keys()) {
    if (key.verdict != KeyVerdict::kNoEffect || std::string_view(key.key) == "base_model_name_or_path")
      continue;
    for (const char* value : {"null", "true", "17", "\"text\"", "{\"a\": [1]}"})
      EXPECT_NO_THROW(
          read_config_text(std::string(R"({"peft_type": "LORA", "target_modules": ["q_proj"], ")") + key.key +
                           "\": " + value + "}"))
          << key.key << " " << value;
  }
}

}  // namespace
}  // namespace graft
