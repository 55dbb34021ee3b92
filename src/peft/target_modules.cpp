#include "peft/target_modules.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};
using Code = std::unique_ptr<pcre2_code, FreeCode>;
using MatchData = std::unique_ptr<pcre2_match_data, FreeMatch>;

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text;
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

Code compile(const std::string& pattern) {
  // Python reads {,n} as {0,n}; PCRE2 before 10.43 as plain text. Better refused than matched differently.
  check(pattern.find("{,") == std::string::npos, ExitCode::kUsage, "target_modules '", printable(pattern),
        "': a repeat without a lower bound", Hint{"write {0,n}"});
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_UTF | PCRE2_UCP, &error, &offset,
                          nullptr));
  check(code != nullptr, ExitCode::kUsage, "target_modules '", printable(pattern), "' at character ", offset,
        ": ", pcre2_message(error),
        Hint{"a string is a regular expression that matches the whole module path; for names write a list"});
  return code;
}

bool full_match(const pcre2_code* code, const std::string& pattern, const std::string& path) {
  const MatchData match(pcre2_match_data_create_from_pattern(code, nullptr));
  const int result =
      pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(path.data()), path.size(), 0, 0, match.get(), nullptr);
  check(result >= 0 || result == PCRE2_ERROR_NOMATCH, ExitCode::kUsage, "target_modules '",
        printable(pattern), "' on '", printable(path), "': ", pcre2_message(result));
  return result >= 0;
}

bool name_matches(const std::string& name, const std::string& path) {
  return path == name || path.ends_with("." + name);
}

}  // namespace

struct ModuleMatcher::Rule {
  TargetModules modules;
  Code code;

  explicit Rule(const TargetModules& from)
      : modules(from), code(from.pattern.empty() ? nullptr : compile(from.pattern)) {}

  bool matches(const std::string& path) const {
    if (modules.all_linear) return true;
    if (code) return full_match(code.get(), modules.pattern, path);
    return std::any_of(modules.names.begin(), modules.names.end(),
                       [&](const std::string& name) { return name_matches(name, path); });
  }
};

ModuleMatcher::ModuleMatcher(const TargetModules& targets, const TargetModules& excluded)
    : targets_(std::make_unique<Rule>(targets)), excluded_(std::make_unique<Rule>(excluded)) {}

ModuleMatcher::~ModuleMatcher() = default;

bool ModuleMatcher::matches(const std::string& path) const {
  return !excluded_->matches(path) && targets_->matches(path);
}

std::vector<std::string> ModuleMatcher::unmatched_names(std::span<const std::string> paths) const {
  std::vector<std::string> unmatched;
  if (targets_->modules.all_linear || targets_->code) return unmatched;
  for (const std::string& name : targets_->modules.names) {
    const bool found = std::any_of(paths.begin(), paths.end(),
                                   [&](const std::string& path) { return name_matches(name, path); });
    if (!found) unmatched.push_back(name);
  }
  return unmatched;
}

std::vector<std::string> leaf_names(std::span<const std::string> paths) {
  std::vector<std::string> leaves;
  for (const std::string& path : paths) {
    std::string leaf = path.substr(path.rfind('.') + 1);  // npos + 1 == 0: the whole path
    if (std::find(leaves.begin(), leaves.end(), leaf) == leaves.end()) leaves.push_back(std::move(leaf));
  }
  return leaves;
}

}  // namespace graft
