#include "adapters/combined_config.h"

#include <algorithm>

#include "adapters/targets.h"
#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "peft/identity_record.h"
#include "peft/module_scale.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

bool chooses_by_layer(const JsonView& config) {
  for (const char* key : {"exclude_modules", "layers_to_transform"})
    if (const auto chosen = config.find(key); chosen && chosen->json() != Json::array()) return true;
  return false;
}

// The union of the lists, unless it leaves a parameter out: then paths.
Json joined_parameters(const std::vector<WeightedAdapter>& adapters,
                       const std::vector<std::string>& parameters) {
  std::vector<std::string> names;
  for (const WeightedAdapter& weighted : adapters)
    if (const auto list = weighted.adapter.view().find("target_parameters"))
      list->each_element([&](const JsonView& name) {
        if (std::find(names.begin(), names.end(), name.as_string()) == names.end())
          names.push_back(name.as_string());
      });
  const bool all = std::all_of(parameters.begin(), parameters.end(), [&](const std::string& path) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return ends_with_name(path, name); });
  });
  return all ? names : parameters;
}

// Of factors as they turned out; of ends that are trained whole as the adapters say.
bool is_tied(const std::vector<WeightedAdapter>& adapters, const CombinedTargets& targets) {
  const bool by_factors =
      std::any_of(targets.modules.begin(), targets.modules.end(), [](const std::string& module) {
        return last_name(module) == "lm_head" || last_name(module) == "embed_tokens";
      });
  if (by_factors) return targets.tied;
  return std::any_of(adapters.begin(), adapters.end(), [](const WeightedAdapter& weighted) {
    const auto tied = weighted.adapter.view().find("ensure_weight_tying");
    return tied && tied->as_bool();
  });
}

}  // namespace

Json joined_names(const std::vector<WeightedAdapter>& adapters, const char* key) {
  std::set<std::string> names;
  std::vector<std::string> expressions;
  for (const WeightedAdapter& weighted : adapters) {
    const auto targets = weighted.adapter.view().find(key);
    if (!targets || chooses_by_layer(weighted.adapter.view())) return nullptr;
    if (targets->is_string())
      expressions.push_back("(" + targets->as_string() + ")");
    else
      targets->each_element([&](const JsonView& name) { names.insert(name.as_string()); });
  }
  if (expressions.empty()) return names;
  return names.empty() && expressions.size() == adapters.size() ? Json(join(expressions, "|")) : Json();
}

Json combined_config(const std::vector<WeightedAdapter>& adapters, const CombinedTargets& targets,
                     std::int64_t rank) {
  Json config = adapters.front().adapter.config;
  config["use_rslora"] = false;
  std::vector<std::string> scaled = targets.modules;
  std::vector<ModuleScale> scales(scaled.size(), {rank, 1.0});
  for (const std::string& parameter : targets.parameters) {
    scaled.push_back(parameter);
    scales.push_back({targets.doubled.contains(parameter) ? 2 * rank : rank, 1.0});
  }
  set_scales(config, scaled, scales, rank);
  config["lora_alpha"] = rank;
  config["alpha_pattern"] = config["rank_pattern"];
  for (const char* key : {"velora_config", "monteclora_config"})
    if (config.contains(key)) config[key] = nullptr;
  if (is_tied(adapters, targets) || config.contains("ensure_weight_tying"))
    config["ensure_weight_tying"] = is_tied(adapters, targets);
  if (!targets.parameters.empty())
    config["target_parameters"] = joined_parameters(adapters, targets.parameters);
  config["target_modules"] = joined_names(adapters, "target_modules");
  const bool fits = !config["target_modules"].is_null() &&
                    untargeted_modules(config, "adapter_config.json", targets.modules).empty();
  if (!fits) name_targets(config, targets.modules);
  return config;
}

AdapterMetadata combined_identity(const std::vector<WeightedAdapter>& adapters, bool any_base) {
  const AdapterFolder& first = adapters.front().adapter;
  AdapterMetadata metadata = first.file->metadata();
  for (std::size_t i = 1; i < adapters.size(); ++i) {
    const AdapterFolder& other = adapters[i].adapter;
    const bool fits = may_share_base(metadata, other.file->metadata(), other.file->path().string());
    const std::string message =
        printable(other.path.string()) + ": trained on another base than " + printable(first.path.string());
    check(fits || any_base, message, Hint{"--force combines them nevertheless"});
    if (!fits) warn(message);
    metadata = joined_identity(metadata, other.file->metadata());
  }
  return metadata;
}

}  // namespace graft
