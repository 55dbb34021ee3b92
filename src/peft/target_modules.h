#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "peft/options.h"
#include "peft/path_pattern.h"

namespace graft {

/// Decides which modules of a base get an adapter, by PEFT's rules. A name matches a path that equals it or
/// ends with "." + name; a pattern must match the whole path (re.fullmatch); exclude_modules wins over
/// target_modules, and what modules_to_save names gets no adapter, nor what lies in it; of
/// layers_to_transform the number is the first numbered part of a path behind a name (or behind one of
/// layers_pattern). Source: check_target_module_exists of huggingface/peft.
class ModuleMatcher {
 public:
  /// Error (kUsage) for a pattern that is no regular expression, with the place in it.
  explicit ModuleMatcher(const LoraOptions& options);
  ~ModuleMatcher();
  ModuleMatcher(const ModuleMatcher&) = delete;

  /// True where the module at `path` gets an adapter; all-linear means every path it is asked about.
  bool matches(const std::string& path) const;
  /// The names of the target list that match none of `paths`.
  std::vector<std::string> unmatched_names(std::span<const std::string> paths) const;

 private:
  struct Rule;
  bool in_layers(const std::string& path) const;

  std::unique_ptr<Rule> targets_, excluded_;
  std::vector<PathPattern> saved_, layer_patterns_;
  std::vector<std::int64_t> layers_;
};

/// What rank_pattern or alpha_pattern says of a module: a key matches a path that ends with it, as a regular
/// expression, after a dot or from the start; the first key in their order counts. Source: get_pattern_key of
/// huggingface/peft.
template <class Value>
class PatternTable {
 public:
  /// `key` names the option. Error (kUsage): a key that is no regular expression.
  PatternTable(const std::string& key, const ModulePattern<Value>& pattern) : pattern_(pattern) {
    for (const auto& [expression, value] : pattern)
      patterns_.emplace_back(key, "(?:.*\\.)?(?:" + expression + ")");
  }
  /// Index of the key that counts for the path, or nothing.
  std::optional<std::size_t> find(const std::string& path) const {
    for (std::size_t i = 0; i < patterns_.size(); ++i)
      if (patterns_[i].matches(path)) return i;
    return std::nullopt;
  }
  Value value_of(const std::string& path, Value otherwise) const {
    const auto found = find(path);
    return found ? pattern_[*found].second : otherwise;
  }

 private:
  ModulePattern<Value> pattern_;
  std::vector<PathPattern> patterns_;
};

/// True where `path` is `name` or ends with "." + name.
bool ends_with_name(const std::string& path, const std::string& name);

/// The last parts of the paths ("q_proj"), each once, in order of appearance: the names a message can offer.
std::vector<std::string> leaf_names(std::span<const std::string> paths);

}  // namespace graft
