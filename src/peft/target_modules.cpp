#include "peft/target_modules.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

namespace graft {
namespace {

/// The names that a path matches, itself first: "a.b.c", "b.c", "c". False as soon as `visit` returns false.
template <class Visit>
bool each_name_of(std::string_view path, const Visit& visit) {
  for (std::size_t begin = 0;; ++begin) {
    if (!visit(path.substr(begin))) return false;
    begin = path.find('.', begin);
    if (begin == std::string_view::npos) return true;
  }
}

}  // namespace

bool ends_with_name(const std::string& path, const std::string& name) {
  return path == name || path.ends_with("." + name);
}

struct ModuleMatcher::Rule {
  TargetModules modules;
  std::unordered_set<std::string_view> names;  // of modules, which may be thousands
  std::optional<PathPattern> pattern;

  Rule(const char* key, const TargetModules& from)
      : modules(from), names(modules.names.begin(), modules.names.end()) {
    if (!from.pattern.empty()) pattern.emplace(key, from.pattern);
  }

  bool matches(const std::string& path) const {
    if (modules.all_linear) return true;
    if (pattern) return pattern->matches(path);
    return !each_name_of(path, [&](std::string_view name) { return !names.contains(name); });
  }
};

ModuleMatcher::ModuleMatcher(const LoraOptions& options)
    : targets_(std::make_unique<Rule>("target_modules", options.target_modules)),
      excluded_(std::make_unique<Rule>("exclude_modules", options.exclude_modules)),
      layers_(options.layers_to_transform) {
  for (const std::string& name : options.modules_to_save)
    saved_.emplace_back("modules_to_save", "(?:^|.*\\.)" + name + "(?:$|\\..*)");
  if (options.layers_pattern.empty())
    layer_patterns_.emplace_back("layers_pattern", ".*?\\.[^.]*\\.(?P<idx>\\d+)\\.");
  for (const std::string& name : options.layers_pattern)
    layer_patterns_.emplace_back("layers_pattern", "(?:^|.*?\\.)" + name + "\\.(?P<idx>\\d+)\\.");
}

ModuleMatcher::~ModuleMatcher() = default;

bool ModuleMatcher::in_layers(const std::string& path) const {
  // A regular expression says itself which layers it means, and so does a whole path.
  if (layers_.empty() || targets_->pattern || targets_->names.contains(path)) return true;
  for (const PathPattern& pattern : layer_patterns_) {
    const std::string text = pattern.index_in(path);
    if (text.empty()) continue;
    std::int64_t index = -1;
    std::from_chars(text.data(), text.data() + text.size(), index);
    return std::find(layers_.begin(), layers_.end(), index) != layers_.end();
  }
  return false;
}

bool ModuleMatcher::matches(const std::string& path) const {
  const auto saved = [&](const PathPattern& pattern) { return pattern.matches(path); };
  return !excluded_->matches(path) && std::none_of(saved_.begin(), saved_.end(), saved) &&
         targets_->matches(path) && in_layers(path);
}

std::vector<std::string> ModuleMatcher::unmatched_names(std::span<const std::string> paths) const {
  std::vector<std::string> unmatched;
  if (targets_->modules.all_linear || targets_->pattern) return unmatched;
  std::unordered_set<std::string_view> there;
  for (const std::string& path : paths)
    each_name_of(path, [&](std::string_view name) { return there.insert(name), true; });
  for (const std::string& name : targets_->modules.names)
    if (!there.contains(name)) unmatched.push_back(name);
  return unmatched;
}

std::vector<std::string> leaf_names(std::span<const std::string> paths) {
  std::vector<std::string> leaves;
  std::unordered_set<std::string> seen;
  for (const std::string& path : paths) {
    std::string leaf = path.substr(path.rfind('.') + 1);  // npos + 1 == 0: the whole path
    if (seen.insert(leaf).second) leaves.push_back(std::move(leaf));
  }
  return leaves;
}

}  // namespace graft
