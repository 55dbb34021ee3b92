#include "peft/path_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};
using MatchData = std::unique_ptr<pcre2_match_data, FreeMatch>;

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text;
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct PathPattern::Code {
  pcre2_code* code;

  explicit Code(pcre2_code* compiled) : code(compiled) {}
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;

  MatchData run(const std::string& key, const std::string& pattern, const std::string& path,
                std::uint32_t options) const {
    MatchData match(pcre2_match_data_create_from_pattern(code, nullptr));
    const int result = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(path.data()), path.size(), 0, options,
                                   match.get(), nullptr);
    check(result >= 0 || result == PCRE2_ERROR_NOMATCH, ExitCode::kUsage, key, " '", printable(pattern),
          "' on '", printable(path), "': ", pcre2_message(result));
    return result >= 0 ? std::move(match) : nullptr;
  }
};

PathPattern::PathPattern(const std::string& key, const std::string& pattern) : key_(key), pattern_(pattern) {
  // Python reads {,n} as {0,n}; PCRE2 before 10.43 as plain text. Better refused than matched differently.
  check(pattern.find("{,") == std::string::npos, ExitCode::kUsage, key, " '", printable(pattern),
        "': a repeat without a lower bound", Hint{"write {0,n}"});
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                             PCRE2_ANCHORED | PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  check(code != nullptr, ExitCode::kUsage, key, " '", printable(pattern), "' at character ", offset, ": ",
        pcre2_message(error),
        Hint{"a string is a regular expression that matches the whole module path; for names write a list"});
  code_ = std::make_shared<const Code>(code);
}

bool PathPattern::matches(const std::string& path) const {
  return code_->run(key_, pattern_, path, PCRE2_ENDANCHORED) != nullptr;
}

std::string PathPattern::index_in(const std::string& path) const {
  const MatchData match = code_->run(key_, pattern_, path, 0);
  if (!match) return {};
  const int group = pcre2_substring_number_from_name(code_->code, reinterpret_cast<PCRE2_SPTR>("idx"));
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.get());
  const auto at = static_cast<std::size_t>(2 * group);
  return path.substr(ends[at], ends[at + 1] - ends[at]);
}

}  // namespace graft
