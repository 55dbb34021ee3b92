#include "peft/adapter_config.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/console.h"
#include "base/error.h"
#include "base/format.h"
#include "base/text.h"
#include "peft/config_keys.h"
#include "peft/methods.h"
#include "peft/module_scale.h"
#include "peft/saved_init.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

template <class Keys>
bool has(const Keys& keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool is_all_linear(std::string_view word) {
  constexpr std::string_view kWord = "all-linear";
  return std::equal(word.begin(), word.end(), kWord.begin(), kWord.end(),
                    [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

std::vector<std::string> read_names(const JsonView& value) {
  if (value.is_string()) return {value.as_string()};
  std::vector<std::string> names;
  value.each_element([&](const JsonView& name) { names.push_back(name.as_string()); });
  return names;
}

std::vector<std::int64_t> read_integers(const JsonView& value) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  std::vector<std::int64_t> integers;
  if (!value.is_array()) return {value.as_int(0, kMost)};
  value.each_element([&](const JsonView& element) { integers.push_back(element.as_int(0, kMost)); });
  return integers;
}

// A list is of the input embedding; a map says it by name.
std::vector<std::int64_t> read_tokens(const JsonView& value) {
  if (!value.is_object()) return read_integers(value);
  std::vector<std::int64_t> ids;
  value.each_member([&](const std::string& module, const JsonView& tokens) {
    check(module.ends_with("embed_tokens"), tokens.where(), ": only tokens of embed_tokens are supported");
    ids = read_integers(tokens);
  });
  return ids;
}

double read_dropout(const JsonView& config, const char* key) {
  const auto dropout = config.find(key);
  if (!dropout) return 0.0;
  const double value = unquoted(*dropout).as_double();
  check(value >= 0 && value < 1, dropout->where(), ": got ", value, ", want [0, 1)");
  return value;
}

TrainedBias read_bias(const JsonView& value, std::string_view own) {
  const std::string& word = value.as_string();
  if (word == "none") return TrainedBias::kNone;
  if (word == "all") return TrainedBias::kAll;
  check(word == own, value.where(), ": got \"", printable(word), "\", want none, all or ", own);
  return TrainedBias::kLoraOnly;
}

Json modules_json(const TargetModules& targets) {
  if (!targets.pattern.empty()) return targets.pattern;
  std::vector<std::string> names = targets.names;
  std::sort(names.begin(), names.end());
  return names;
}

template <class List>
Json list_or_null(const List& list) {
  return list.empty() ? Json(nullptr) : Json(list);
}

void write_layers(const LoraOptions& options, Json& config) {
  config["layers_pattern"] = list_or_null(options.layers_pattern);
  config["layers_to_transform"] = list_or_null(options.layers_to_transform);
}

const char* bias_word(TrainedBias bias, const char* own) {
  return bias == TrainedBias::kNone ? "none" : bias == TrainedBias::kAll ? "all" : own;
}

template <class Value>
Json put_in_front(const ModulePattern<Value>& front, const Json& rest) {
  Json all = Json::object();
  for (const auto& [key, value] : front) all[key] = number_json(static_cast<double>(value));
  for (const auto& [key, value] : rest.items())
    if (!all.contains(key)) all[key] = value;
  return all;
}

void write_expert_targets(const ExpertTargets& experts, Json& config) {
  if (experts.any && config.contains("lora_dropout")) config["lora_dropout"] = 0.0;
  if (!experts.parameters) return;
  for (const char* key : {"exclude_modules", "layers_to_transform", "layers_pattern"})
    if (config.contains(key)) config[key] = nullptr;
  config["target_modules"] = experts.parameters->target_modules;
  config["target_parameters"] = experts.parameters->target_parameters;
  config["rank_pattern"] = put_in_front(experts.parameters->ranks, config["rank_pattern"]);
  config["alpha_pattern"] = put_in_front(experts.parameters->alphas, config["alpha_pattern"]);
}

void read_common(const JsonView& config, AdapterConfig& result) {
  LoraOptions& options = result.options;
  if (const auto excluded = config.find("exclude_modules")) options.exclude_modules = read_modules(*excluded);
  check(!options.exclude_modules.all_linear, config.where(), "/exclude_modules: all linears are excluded");
  if (const auto base = config.find("base_model_name_or_path")) result.base_model = base->as_string();
  const auto targets = config.find("target_modules");
  // VeRA and IA3 have no such key.
  if (const auto parameters = config.find("target_parameters");
      parameters && result.options.method == AdapterMethod::kLora)
    result.target_parameters = read_names(*parameters);
  result.default_targets = !targets.has_value() && result.target_parameters.empty();
  if (!targets && !result.default_targets) options.target_modules.all_linear = false;
  if (targets) options.target_modules = read_modules(*targets);
  if (const auto layers = config.find("layers_to_transform"))
    options.layers_to_transform = read_integers(*layers);
  if (const auto pattern = config.find("layers_pattern")) options.layers_pattern = read_names(*pattern);
  if (const auto saved = config.find("modules_to_save")) options.modules_to_save = read_names(*saved);
}

}  // namespace

TargetModules read_modules(const JsonView& value) {
  TargetModules modules{.all_linear = false};
  if (value.is_string()) {
    modules.all_linear = is_all_linear(value.as_string());
    if (!modules.all_linear) modules.pattern = value.as_string();
    return modules;
  }
  check(value.is_array(), value.where(), ": want a list of names or a regular expression");
  modules.names = read_names(value);
  return modules;
}

void read_lora_config(const JsonView& config, LoraOptions& options) {
  constexpr std::int64_t kMostRank = std::int64_t{1} << 20;
  options.init = read_saved_init(config);
  refuse_null_scale(config);
  options.r = kPeftRank;
  options.alpha = kPeftAlpha;
  const auto r = config.find("r"), alpha = config.find("lora_alpha");
  if (r) options.r = unquoted(*r).as_int(1, kMostRank);
  if (alpha) options.alpha = unquoted(*alpha).as_double();
  if (r && !alpha)
    warn(config.where() + ": has r and no lora_alpha: PEFT takes 8, a scale of " +
         format("%.4g", kPeftAlpha / static_cast<double>(options.r)));
  options.dropout = read_dropout(config, "lora_dropout");
  if (const auto rslora = config.find("use_rslora")) options.use_rslora = rslora->as_bool();
  if (const auto dora = config.find("use_dora"))
    options.method = dora->as_bool() ? AdapterMethod::kDora : AdapterMethod::kLora;
  if (const auto tie = config.find("ensure_weight_tying")) options.ensure_weight_tying = tie->as_bool();
  if (const auto bias = config.find("lora_bias")) options.lora_bias = bias->as_bool();
  if (const auto bias = config.find("bias")) options.bias = read_bias(*bias, "lora_only");
  if (const auto ranks = config.find("rank_pattern"))
    ranks->each_member([&](const std::string& key, const JsonView& r) {
      options.rank_pattern.emplace_back(key, unquoted(r).as_int(1, kMostRank));
    });
  if (const auto alphas = config.find("alpha_pattern"))
    alphas->each_member([&](const std::string& key, const JsonView& alpha) {
      options.alpha_pattern.emplace_back(key, unquoted(alpha).as_double());
    });
  if (const auto tokens = config.find("trainable_token_indices"))
    options.trainable_tokens = read_tokens(*tokens);
}

void write_lora_config(const LoraOptions& options, Json& config) {
  write_layers(options, config);
  config["bias"] = bias_word(options.bias, "lora_only");
  config["fan_in_fan_out"] = false;
  config["init_lora_weights"] =
      true;  // another word would make PEFT initialise, and change the base, once more
  // What starts from the weight is written with what is subtracted again: twice the rank, the same scale.
  const bool doubled = starts_from_weight(options);
  const std::int64_t ranks = written_rank_factor(options);
  const double alphas = !doubled ? 1.0 : options.use_rslora ? std::sqrt(2.0) : 2.0;
  if (options.ensure_weight_tying) config["ensure_weight_tying"] = true;
  if (options.lora_bias) config["lora_bias"] = true;  // older readers do not know the key
  config["lora_alpha"] = number_json(options.alpha * alphas);
  config["lora_dropout"] = options.dropout;
  config["r"] = options.r * ranks;
  config["alpha_pattern"] = config["rank_pattern"] = Json::object();
  for (const auto& [key, r] : options.rank_pattern) config["rank_pattern"][key] = r * ranks;
  for (const auto& [key, alpha] : options.alpha_pattern)
    config["alpha_pattern"][key] = number_json(alpha * alphas);
  if (!options.trainable_tokens.empty()) config["trainable_token_indices"] = options.trainable_tokens;
  config["use_dora"] = options.method == AdapterMethod::kDora;
  config["use_rslora"] = options.use_rslora;
}

std::int64_t written_rank_factor(const LoraOptions& options) { return starts_from_weight(options) ? 2 : 1; }

void read_vera_config(const JsonView& config, LoraOptions& options) {
  constexpr std::int64_t kPeftRank = 256;
  options.r = kPeftRank;
  if (const auto r = config.find("r")) options.r = unquoted(*r).as_int(1, std::int64_t{1} << 20);
  options.alpha = static_cast<double>(options.r);
  options.dropout = read_dropout(config, "vera_dropout");
  if (const auto key = config.find("projection_prng_key")) options.projection_prng_key = key->as_int(0);
  if (const auto bias = config.find("bias")) options.bias = read_bias(*bias, "vera_only");
}

void write_vera_config(const LoraOptions& options, Json& config) {
  write_layers(options, config);
  config["bias"] = bias_word(options.bias, "vera_only");
  config["fan_in_fan_out"] = false;
  config["projection_prng_key"] = options.projection_prng_key;
  config["r"] = options.r;
  config["save_projection"] = true;
  config["vera_dropout"] = options.dropout;
}

void read_ia3_config(const JsonView& config, LoraOptions& options) {
  if (const auto names = config.find("feedforward_modules")) options.feedforward_modules = read_names(*names);
}

void write_ia3_config(const LoraOptions& options, Json& config) {
  config["fan_in_fan_out"] = false;
  std::vector<std::string> names;
  for (const std::string& name : options.feedforward_modules) {
    const auto& targets = options.target_modules;
    // PEFT wants them among the targets.
    if (targets.all_linear || !targets.pattern.empty() || has(targets.names, name)) names.push_back(name);
  }
  config["feedforward_modules"] = names;
}

AdapterConfig read_adapter_config(const Path& path) {
  const Json document = read_config_document(path);
  const JsonView config(document, path.string());
  const std::string type = peft_type_of(config);
  const auto rows = methods();
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const Method& method) { return method.peft_type == type; });
  check(row != rows.end(), config.at("peft_type").where(),
        ": only LORA, VERA and IA3 adapters are supported (got \"", printable(type), "\")",
        Hint{"PEFT's save_as_lora makes a LoRA of most others"});
  refuse_other_mathematics(config);
  warn_idle_keys(config);
  AdapterConfig result;
  result.options.method = row->method;
  result.has_rank = config.find("r").has_value();
  read_common(config, result);
  row->read_config(config, result.options);
  return result;
}

Json adapter_config_json(const LoraOptions& options, const std::vector<std::string>& modules,
                         const std::string& base_path, const ExpertTargets& experts) {
  std::vector<std::string> leaves = leaf_names(modules);
  std::sort(leaves.begin(), leaves.end());
  const Method& method = method_of(options);
  Json config = {{"auto_mapping", nullptr}, {"base_model_name_or_path", base_path}, {"inference_mode", true}};
  config["modules_to_save"] = list_or_null(options.modules_to_save);
  config["peft_type"] = method.peft_type;
  config["revision"] = nullptr;
  config["target_modules"] =
      options.target_modules.all_linear ? Json(leaves) : modules_json(options.target_modules);
  config["task_type"] = "CAUSAL_LM";
  method.write_config(options, config);
  const Json excluded = modules_json(options.exclude_modules);
  const bool has_layers = config.contains("layers_to_transform"), has_excluded = !excluded.empty();
  // PEFT's class of this type may have no such key: then the modules are named one by one.
  const bool by_path = (!has_layers && !options.layers_to_transform.empty()) ||
                       (has_excluded && options.method == AdapterMethod::kVera);
  if (by_path) config["target_modules"] = modules;
  if (has_excluded && !by_path) config["exclude_modules"] = excluded;
  write_expert_targets(experts, config);
  std::vector<std::pair<std::string, Json>> members;
  for (const auto& [key, value] : config.items()) members.emplace_back(key, value);
  std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Json sorted = Json::object();
  for (auto& [key, value] : members) sorted[key] = std::move(value);
  return sorted;
}

}  // namespace graft
