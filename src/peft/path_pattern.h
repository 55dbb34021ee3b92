#pragma once

#include <memory>
#include <string>

namespace graft {

/// A Python-style regular expression for module paths (PCRE2 underneath, with its match limit, so that no
/// pattern runs for ever).
class PathPattern {
 public:
  /// `key` names the option in messages. Error (kUsage), with the place in it: no regular expression.
  PathPattern(const std::string& key, const std::string& pattern);

  /// Whether it matches the whole path: re.fullmatch.
  bool matches(const std::string& path) const;
  /// The text of the group "idx" where it matches the start of the path, else empty: re.match.
  std::string index_in(const std::string& path) const;

 private:
  struct Code;
  std::string key_, pattern_;
  std::shared_ptr<const Code> code_;
};

}  // namespace graft
