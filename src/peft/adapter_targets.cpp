#include "peft/adapter_targets.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "peft/adapter_key.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

TargetModules targets_in(const JsonView& value) {
  TargetModules targets{.all_linear = false};
  if (!value.is_string()) {
    value.each_element([&](const JsonView& name) { targets.names.push_back(name.as_string()); });
    return targets;
  }
  constexpr std::string_view kAllLinear = "all-linear";
  const std::string& word = value.as_string();
  targets.all_linear =
      std::equal(word.begin(), word.end(), kAllLinear.begin(), kAllLinear.end(),
                 [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
  if (!targets.all_linear) targets.pattern = word;
  return targets;
}

bool chosen_otherwise(const JsonView& config) {
  if (!config.find("target_modules")) return true;
  const auto parameters = config.find("target_parameters"), tied = config.find("ensure_weight_tying");
  return (parameters && parameters->size() > 0) || (tied && tied->as_bool());
}

}  // namespace

std::vector<std::string> untargeted_modules(const Json& config, const std::string& where,
                                            const std::vector<std::string>& modules) {
  const JsonView view(config, where);
  std::vector<std::string> untargeted;
  if (chosen_otherwise(view)) return untargeted;
  const auto excluded = view.find("exclude_modules");
  const ModuleMatcher matcher(targets_in(view.at("target_modules")),
                              excluded ? targets_in(*excluded) : TargetModules{.all_linear = false});
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
