#include "peft/adapter_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

// Keys that change nothing about a loaded LoRA, whatever they hold. Configurations of initialisations matter
// only to init_lora_weights, which is read.
constexpr std::array kIgnored = {"auto_mapping",      "base_model_name_or_path",
                                 "revision",          "inference_mode",
                                 "peft_version",      "task_type",
                                 "layers_pattern",    "megatron_core",
                                 "qalora_group_size", "runtime_config",
                                 "eva_config",        "corda_config",
                                 "lora_ga_config",    "loftq_config",
                                 "_custom_modules"};
// Keys that are read below.
constexpr std::array kRead = {
    "peft_type",       "r",          "lora_alpha", "lora_dropout",     "target_modules",
    "exclude_modules", "use_rslora", "bias",       "init_lora_weights"};

// Features of PEFT that graft does not have yet; each is off where its key is absent, null, false or empty.
struct Feature {
  const char* key;
  const char* name;
};
constexpr std::array kFeatures = {
    Feature{"use_dora", "DoRA"},
    Feature{"rank_pattern", "a rank per module"},
    Feature{"alpha_pattern", "an alpha per module"},
    Feature{"modules_to_save", "modules trained whole"},
    Feature{"trainable_token_indices", "trained tokens"},
    Feature{"lora_bias", "a bias on B"},
    Feature{"layers_to_transform", "a choice of layers"},
    Feature{"layer_replication", "replicated layers"},
    Feature{"target_parameters", "adapters on parameters"},
    Feature{"ensure_weight_tying", "tied adapters"},
    Feature{"fan_in_fan_out", "transposed weights"},
    Feature{"alora_invocation_tokens", "activated LoRA"},
    Feature{"use_qalora", "QALoRA"},
    Feature{"use_bdlora", "block-diagonal LoRA"},
    Feature{"velora_config", "VeLoRA"},
    Feature{"monteclora_config", "MonteCLoRA"},
    Feature{"kasa_config", "KaSA"},
    Feature{"arrow_config", "Arrow"},
    Feature{"megatron_config", "Megatron layers"},
};

bool is_off(const Json& value) {
  return value.is_null() || value == Json(false) ||
         ((value.is_object() || value.is_array()) && value.empty());
}

template <class Keys>
bool has(const Keys& keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

void refuse_features(const JsonView& config) {
  for (const auto& [key, name] : kFeatures) {
    const auto found = config.find(key);
    // layers_to_transform: 0 is a layer, not "off".
    if (!found || is_off(found->json())) continue;
    fail(found->where(), ": ", name, " is not supported yet (got ", printable(to_text(found->json()), 80),
         ")");
  }
  if (const auto bias = config.find("bias"); bias && bias->as_string() != "none")
    fail(bias->where(), ": trained biases are not supported yet (got \"", printable(bias->as_string()),
         "\", want \"none\")");
}

// pissa, olora and the like subtract from the base once more each time PEFT loads such a file; eva, gaussian
// and orthogonal leave the base alone.
void check_init(const JsonView& config) {
  const auto init = config.find("init_lora_weights");
  if (!init || init->is_boolean()) return;
  const std::string& name = init->as_string();
  check(name == "gaussian" || name == "eva" || name == "orthogonal" || name == "mica", init->where(), ": \"",
        printable(name), "\" changes the base whenever it is loaded: not supported",
        Hint{"save the adapter from PEFT with path_initial_model_for_weight_conversion, which makes a plain "
             "LoRA of it"});
}

void warn_unknown_keys(const JsonView& config) {
  config.each_member([&](const std::string& key, const JsonView& value) {
    const bool feature =
        std::any_of(kFeatures.begin(), kFeatures.end(), [&](const Feature& f) { return key == f.key; });
    if (!feature && !has(kIgnored, key) && !has(kRead, key))
      warn(value.where() + ": graft does not know this key; it is ignored, as PEFT does");
  });
}

bool is_all_linear(std::string_view word) {
  constexpr std::string_view kWord = "all-linear";
  return std::equal(word.begin(), word.end(), kWord.begin(), kWord.end(),
                    [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

TargetModules read_modules(const JsonView& value) {
  TargetModules modules{.all_linear = false};
  if (value.is_string()) {
    modules.all_linear = is_all_linear(value.as_string());
    if (!modules.all_linear) modules.pattern = value.as_string();
    return modules;
  }
  check(value.is_array(), value.where(), ": want a list of names or a regular expression");
  value.each_element([&](const JsonView& name) { modules.names.push_back(name.as_string()); });
  return modules;
}

Json modules_json(const TargetModules& targets) {
  if (!targets.pattern.empty()) return targets.pattern;
  std::vector<std::string> names = targets.names;
  std::sort(names.begin(), names.end());
  return names;
}

Json number_json(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<std::int64_t>(value);
  return value;
}

}  // namespace

AdapterConfig read_adapter_config(const Path& path) {
  const Json document = read_json(path);
  const JsonView config(document, path.string());
  const std::string& type = config.at("peft_type").as_string();
  check(type == "LORA", config.at("peft_type").where(), ": only LORA adapters are supported (got \"",
        printable(type), "\")");
  refuse_features(config);
  check_init(config);
  warn_unknown_keys(config);

  AdapterConfig result;
  LoraOptions& options = result.options;
  constexpr std::int64_t kPeftDefault = 8;  // of both r and lora_alpha
  options.r = kPeftDefault;
  options.alpha = kPeftDefault;
  if (const auto r = config.find("r")) options.r = r->as_int(1, std::int64_t{1} << 20);
  if (const auto alpha = config.find("lora_alpha")) options.alpha = alpha->as_double();
  if (const auto dropout = config.find("lora_dropout")) options.dropout = dropout->as_double();
  check(options.dropout >= 0 && options.dropout < 1, path.string(), ": /lora_dropout: got ", options.dropout,
        ", want [0, 1)");
  if (const auto rslora = config.find("use_rslora")) options.use_rslora = rslora->as_bool();
  if (const auto excluded = config.find("exclude_modules")) options.exclude_modules = read_modules(*excluded);
  check(!options.exclude_modules.all_linear, path.string(), ": /exclude_modules: all linears are excluded");
  if (const auto base = config.find("base_model_name_or_path")) result.base_model = base->as_string();
  const auto targets = config.find("target_modules");
  result.default_targets = !targets.has_value();
  if (targets) options.target_modules = read_modules(*targets);
  return result;
}

Json adapter_config_json(const LoraOptions& options, const std::vector<std::string>& modules,
                         const std::string& base_path) {
  std::vector<std::string> leaves = leaf_names(modules);
  std::sort(leaves.begin(), leaves.end());
  Json config = {{"alpha_pattern", Json::object()},
                 {"auto_mapping", nullptr},
                 {"base_model_name_or_path", base_path},
                 {"bias", "none"}};
  if (const Json excluded = modules_json(options.exclude_modules); !excluded.empty())
    config["exclude_modules"] = excluded;
  config["fan_in_fan_out"] = false;
  config["inference_mode"] = true;
  config["init_lora_weights"] =
      true;  // another word would make PEFT initialise, and change the base, once more
  config["layers_pattern"] = nullptr;
  config["layers_to_transform"] = nullptr;
  config["lora_alpha"] = number_json(options.alpha);
  config["lora_dropout"] = options.dropout;
  config["modules_to_save"] = nullptr;
  config["peft_type"] = "LORA";
  config["r"] = options.r;
  config["rank_pattern"] = Json::object();
  config["revision"] = nullptr;
  config["target_modules"] =
      options.target_modules.all_linear ? Json(leaves) : modules_json(options.target_modules);
  config["task_type"] = "CAUSAL_LM";
  config["use_dora"] = false;
  config["use_rslora"] = options.use_rslora;
  return config;
}

}  // namespace graft
