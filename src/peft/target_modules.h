#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "peft/options.h"

namespace graft {

/// Decides which modules of a base get an adapter, by PEFT's rules. A name matches a path that equals it or
/// ends with
/// "." + name; a pattern must match the whole path (Python's re.fullmatch: PCRE2 underneath, with its match
/// limit, so that no pattern runs for ever); exclude_modules wins over target_modules. Source:
/// check_target_module_exists of huggingface/peft.
class ModuleMatcher {
 public:
  /// Error (kUsage) for a pattern that is no regular expression, with the place in it.
  ModuleMatcher(const TargetModules& targets, const TargetModules& excluded);
  ~ModuleMatcher();
  ModuleMatcher(const ModuleMatcher&) = delete;

  /// True where the linear at `path` gets an adapter; all-linear means every path it is asked about.
  bool matches(const std::string& path) const;
  /// The names of the target list that match none of `paths`.
  std::vector<std::string> unmatched_names(std::span<const std::string> paths) const;

 private:
  struct Rule;
  std::unique_ptr<Rule> targets_, excluded_;
};

/// The last parts of the paths ("q_proj"), each once, in order of appearance: the names a message can offer.
std::vector<std::string> leaf_names(std::span<const std::string> paths);

}  // namespace graft
