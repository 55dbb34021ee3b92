#include "peft/config_keys.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

using enum KeyVerdict;

constexpr char kMergeWithPeft[] = "merge it into its base with PEFT (merge_and_unload)";

constexpr std::array kKeys = {
    ConfigKey{"alpha_pattern"},
    ConfigKey{"bias"},
    ConfigKey{"ensure_weight_tying"},
    ConfigKey{"exclude_modules"},
    ConfigKey{"feedforward_modules"},
    ConfigKey{"init_lora_weights"},
    ConfigKey{"layers_pattern"},
    ConfigKey{"layers_to_transform"},
    ConfigKey{"lora_alpha"},
    ConfigKey{"lora_bias"},
    ConfigKey{"lora_dropout"},
    ConfigKey{"modules_to_save"},
    ConfigKey{"peft_type"},
    ConfigKey{"projection_prng_key"},
    ConfigKey{"r"},
    ConfigKey{"rank_pattern"},
    ConfigKey{"target_modules"},
    ConfigKey{"target_parameters"},
    ConfigKey{"trainable_token_indices"},
    ConfigKey{"use_dora"},
    ConfigKey{"use_rslora"},
    ConfigKey{"vera_dropout"},
    ConfigKey{"base_model_name_or_path", kNoEffect},
    ConfigKey{"auto_mapping", kNoEffect},
    ConfigKey{"inference_mode", kNoEffect},
    ConfigKey{"peft_version", kNoEffect},
    ConfigKey{"revision", kNoEffect},
    ConfigKey{"runtime_config", kNoEffect},
    ConfigKey{"task_type", kNoEffect},
    ConfigKey{"_custom_modules", kNoEffect},
    // How factors began; init_lora_weights says whether that matters.
    ConfigKey{"corda_config", kNoEffect},
    ConfigKey{"d_initial", kNoEffect},
    ConfigKey{"eva_config", kNoEffect},
    ConfigKey{"init_ia3_weights", kNoEffect},
    ConfigKey{"init_weights", kNoEffect},
    ConfigKey{"loftq_config", kNoEffect},
    ConfigKey{"lora_ga_config", kNoEffect},
    // How it was trained: stored activations, noise, layers of Megatron. In use all three are A and B.
    ConfigKey{"megatron_config", kNoEffect},
    ConfigKey{"megatron_core", kNoEffect},
    ConfigKey{"monteclora_config", kNoEffect},
    ConfigKey{"velora_config", kNoEffect},
    // The file holds the matrices or does not, which is seen.
    ConfigKey{"save_projection", kNoEffect},
    ConfigKey{"qalora_group_size", kNoEffect},  // use_qalora counts
    ConfigKey{"fan_in_fan_out", kNoEffect},     // of linears, which all bases here have, PEFT turns it off
    ConfigKey{"merge_weights", kNoEffect},      // PEFT 0.2: when to merge
    ConfigKey{"alora_invocation_tokens", kRefused,
              "activated LoRA: the adapter works only from these tokens of a text on",
              "PEFT and llama.cpp run it as it is", true},
    ConfigKey{"arrow_config", kRefused, "Arrow: each token is routed to some of several adapters",
              "load the adapters that it names one by one"},
    ConfigKey{"enable_lora", kRefused, "adapters of parts of one fused linear (PEFT 0.2)",
              "merge it into its base with the PEFT that wrote it"},
    ConfigKey{"kasa_config", kRefused,
              "KaSA: singular values stand between A and B, and the base's weights lose their smallest ones",
              kMergeWithPeft},
    ConfigKey{"layer_replication", kRefused,
              "replicated layers: blocks of the base are used several times, each with its own adapter",
              "save the deeper network as a base of its own, and train on that", true},
    ConfigKey{"use_bdlora", kRefused,
              "block-diagonal LoRA: of A or B the file holds the blocks on the diagonal alone",
              kMergeWithPeft},
    ConfigKey{"use_mora", kRefused, "MoRA: a square matrix and a folded input in the place of A and B",
              "merge it into its base with the program that wrote it"},
    ConfigKey{"use_qalora", kRefused, "QALoRA: A works on inputs that are averaged in groups",
              kMergeWithPeft},
};

bool is_off(const Json& value) {
  const bool list = value.is_object() || value.is_array();
  return value.is_null() || value == Json(false) || (list && value.empty());
}

std::string upper_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

const ConfigKey* find_key(const std::string& name) {
  const auto* row =
      std::find_if(kKeys.begin(), kKeys.end(), [&](const ConfigKey& key) { return name == key.key; });
  return row == kKeys.end() ? nullptr : row;
}

// enable_lora lists the parts that have an adapter: with none or null it was plain LoRA.
bool is_on(const ConfigKey& key, const Json& value) {
  if (std::string_view(key.key) != "enable_lora" || !value.is_array()) return !is_off(value);
  return std::any_of(value.begin(), value.end(), [](const Json& part) { return part == Json(true); });
}

// What a config without peft_type may be.
std::string look_of(const Json& config) {
  if (config.contains("lora_parameters"))
    return "it looks like mlx-lm's, whose adapters have other names and layouts; convert it to PEFT's";
  if (config.contains("r") || config.contains("lora_alpha") || config.contains("target_modules"))
    return "of a LoRA, write \"peft_type\": \"LORA\" into it";
  return "PEFT writes it into each adapter_config.json; this file is of another program";
}

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

Json read_config_document(const Path& path) {
  constexpr std::string_view kPointer = "version https://git-lfs";
  constexpr std::size_t kMostBytes = std::size_t{64} << 20;
  const std::string text = read_file(path, kMostBytes);
  check(!text.starts_with(kPointer), printable(path.string()), ": a git-LFS pointer, not the file itself",
        Hint{"fetch the file with `git lfs pull`"});
  return parse_json(text, path.string());
}

std::string peft_type_of(const JsonView& config) {
  const auto type = config.find("peft_type");
  if (!type) fail(config, ": peft_type is missing", Hint{look_of(config.json())});
  const std::string& name = type->as_string();
  const std::string upper = upper_case(name);
  check(name == upper, *type, ": got \"", printable(name), "\", and PEFT writes \"", printable(upper), "\"",
        Hint{"write \"" + printable(upper) + "\" there, if it is one"});
  return name;
}

void refuse_other_mathematics(const JsonView& config, const std::string& verb) {
  for (const ConfigKey& key : kKeys) {
    const auto value = config.find(key.key);
    const bool refused = key.verdict == kRefused && (verb.empty() || !key.plain_factors);
    if (!refused || !value || !is_on(key, value->json())) continue;
    fail(value->where(), ": ", verb, verb.empty() ? "" : ": ", key.meaning, ": not supported (got ",
         printable(to_text(value->json()), 80), ")", Hint{key.remedy});
  }
}

void warn_idle_keys(const JsonView& config) {
  config.each_member([&](const std::string& name, const JsonView& value) {
    if (find_key(name) == nullptr)
      warn(value.where() + ": graft does not know this key; it is ignored, as PEFT does");
    else if (name == "fan_in_fan_out" && !is_off(value.json()))
      warn(value.where() +
           ": of bases that store weights transposed (GPT-2); ignored, as PEFT does for linears");
  });
}

const JsonView& unquoted(const JsonView& value) {
  if (!value.is_string()) return value;
  fail(value, ": got the string \"", printable(value.as_string()), "\", want a number",
       Hint{"write it without quotes"});
}

void refuse_null_scale(const JsonView& config) {
  for (const char* key : {"r", "lora_alpha"})
    check(!config.json().contains(key) || config.find(key), config, ": /", key, ": got null, want a number",
          Hint{"write what it was trained with; without the key PEFT takes 8"});
}

std::string absent_rank_text(const JsonView& config) {
  if (config.find("r")) return "";
  return "; adapter_config.json has no r, and PEFT takes " + std::to_string(kPeftRank);
}

}  // namespace graft
