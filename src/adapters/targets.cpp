#include "adapters/targets.h"

#include <algorithm>

#include "base/error.h"
#include "peft/adapter_config.h"
#include "peft/adapter_key.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

bool chosen_otherwise(const JsonView& config) {
  const auto tied = config.find("ensure_weight_tying");
  return !config.find("target_modules") || (tied && tied->as_bool());
}

}  // namespace

std::vector<std::string> untargeted_modules(const Json& config, const std::string& where,
                                            const std::vector<std::string>& modules) {
  const JsonView view(config, where);
  std::vector<std::string> untargeted;
  if (chosen_otherwise(view)) return untargeted;
  LoraOptions options;
  options.target_modules = read_modules(view.at("target_modules"));
  if (const auto excluded = view.find("exclude_modules")) options.exclude_modules = read_modules(*excluded);
  const ModuleMatcher matcher(options);
  std::copy_if(modules.begin(), modules.end(), std::back_inserter(untargeted),
               [&](const std::string& module) { return !matcher.matches(module); });
  return untargeted;
}

void name_targets(Json& config, std::vector<std::string> modules) {
  std::sort(modules.begin(), modules.end(), path_before);
  config["target_modules"] = modules;
  for (const char* key : {"exclude_modules", "layers_to_transform", "layers_pattern"})
    if (config.contains(key)) config[key] = nullptr;
}

}  // namespace graft
