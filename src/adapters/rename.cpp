#include "adapters/rename.h"

#include <algorithm>
#include <set>

#include "adapters/targets.h"
#include "adapters/writer.h"
#include "base/error.h"
#include "base/text.h"
#include "peft/identity_record.h"
#include "peft/module_scale.h"

namespace graft {
namespace {

// The prefix at whole parts of the path: "model" starts "model.layers", not "models".
bool starts_with_path(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) &&
         (prefix.empty() || path.size() == prefix.size() || path[prefix.size()] == '.');
}

std::string changed_path(const std::string& path, const PrefixChange& change) {
  if (!starts_with_path(path, change.from)) return path;
  std::string_view rest = std::string_view(path).substr(change.from.size());
  if (rest.starts_with('.')) rest.remove_prefix(1);
  if (change.to.empty()) return std::string(rest);
  return change.to + (rest.empty() ? "" : ".") + std::string(rest);
}

std::string changed_key(const std::string& key, const std::optional<PrefixChange>& change) {
  const std::string repaired = repaired_adapter_key(key);
  if (!change || !repaired.starts_with(kAdapterKeyPrefix)) return repaired;
  return std::string(kAdapterKeyPrefix) + changed_path(repaired.substr(kAdapterKeyPrefix.size()), *change);
}

std::string module_of(const std::string& key) { return parse_adapter_key(key).module; }

// Paths, and regular expressions that begin as paths do.
Json changed_names(const Json& value, const PrefixChange& change) {
  if (value.is_array()) {
    Json names = Json::array();
    for (const Json& name : value)
      names.push_back(name.is_string() ? Json(changed_path(name.get<std::string>(), change)) : name);
    return names;
  }
  if (!value.is_object()) return value;
  Json pattern = Json::object();
  for (const auto& [name, entry] : value.items()) pattern[changed_path(name, change)] = entry;
  return pattern;
}

// Patterns may name the old paths in a form that cannot be followed: then they are written anew.
void keep_scales(Json& config, const AdapterFolder& adapter, const std::vector<std::string>& modules) {
  std::vector<std::string> old;
  for (const FactorPair& pair : adapter.pairs) old.push_back(pair.scaled_by);
  const std::vector<ModuleScale> before = scales_of(adapter.view(), old);
  if (scales_of({config, adapter.view().where()}, modules) != before) set_scales(config, modules, before);
}

// `modules`: new paths of the pairs, by which the config gives their scales.
Json changed_config(const AdapterFolder& adapter, const std::optional<PrefixChange>& change,
                    const std::vector<std::string>& modules) {
  Json config = adapter.config;
  if (change)
    for (const char* key :
         {"target_modules", "target_parameters", "exclude_modules", "rank_pattern", "alpha_pattern"})
      if (config.contains(key)) config[key] = changed_names(config[key], *change);
  std::vector<std::string> targets;
  for (std::size_t i = 0; i < modules.size(); ++i)
    if (!adapter.pairs[i].of_parameter()) targets.push_back(modules[i]);
  if (!untargeted_modules(config, adapter.view().where(), targets).empty()) name_targets(config, targets);
  keep_scales(config, adapter, modules);
  return config;
}

std::string nearest_start(const AdapterFolder& adapter, const std::string& from) {
  std::set<std::string> starts;
  for (const FactorPair& pair : adapter.pairs)
    for (std::size_t at = pair.module.find('.'); at != std::string::npos; at = pair.module.find('.', at + 1))
      starts.insert(pair.module.substr(0, at));
  const std::vector<std::string> names(starts.begin(), starts.end());
  const auto near = nearest(from, names);
  if (near) return "did you mean " + printable(*near) + "?";
  return adapter.pairs.empty() ? "" : "one of its modules is " + printable(adapter.pairs.front().module);
}

}  // namespace

RenamedKeys rename_adapter(const AdapterFolder& adapter, const std::optional<PrefixChange>& change,
                           const Path& out) {
  std::vector<TensorView> heads = adapter.file->tensors();
  std::map<std::string, std::string> origin, module_names;
  RenamedKeys renamed;
  bool found = false;
  for (TensorView& head : heads) {
    const std::string before = head.name;
    head.name = changed_key(before, change);
    const auto [other, is_new] = origin.emplace(head.name, before);
    check(is_new, printable(adapter.file->path().string()), ": ", printable(before), " and ",
          printable(other->second), " both become ", printable(head.name));
    module_names[module_of(before)] = module_of(head.name);
    if (head.name != before) renamed.emplace_back(before, head.name);
    if (change) found = found || starts_with_path(module_of(repaired_adapter_key(before)), change->from);
  }
  check(!change || found, ExitCode::kUsage, "--from ", printable(change ? change->from : ""),
        ": no module of the adapter starts so", Hint{change ? nearest_start(adapter, change->from) : ""});
  std::vector<std::string> modules;
  for (const FactorPair& pair : adapter.pairs)
    modules.push_back(pair.of_parameter() && change ? changed_path(pair.scaled_by, *change)
                      : pair.of_parameter()         ? pair.scaled_by
                                                    : module_names.at(pair.holder));
  AdapterWriter writer(
      out, changed_config(adapter, change, modules), heads,
      renamed_identity(adapter.file->metadata(), adapter.file->path().string(), module_names));
  for (const TensorView& tensor : adapter.file->tensors()) writer.write(tensor.bytes);
  writer.carry_tokenizer(adapter.path);
  writer.commit();
  return renamed;
}

}  // namespace graft
