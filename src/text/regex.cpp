#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::uint32_t kMatchLimit = 10'000'000;  // steps of one match; a sane pattern needs a few per byte
constexpr std::uint32_t kHeapLimitKiB = 256 * 1024;  // backtracking memory of one match

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct Regex::Scratch::State {
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  State() {
    check(context != nullptr && data != nullptr, ExitCode::kResource, "no memory for a regular expression");
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKiB);
  }
  ~State() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
  State(const State&) = delete;
};

Regex::Scratch::Scratch() : state_(std::make_unique<State>()) {}
Regex::Scratch::~Scratch() = default;

struct Regex::Code {
  std::string pattern;  // as the tokenizer file has it, for messages
  pcre2_code* compiled = nullptr;
  Code() = default;
  ~Code() { pcre2_code_free(compiled); }
  Code(const Code&) = delete;

  // The match at or after `start`, or a negative PCRE2 code.
  int match(std::string_view text, std::size_t start, Scratch::State& state) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int result =
        pcre2_match(compiled, subject, text.size(), start, PCRE2_NO_UTF_CHECK, state.data, state.context);
    // The compiled code works on a small stack; the interpreter takes its memory from the heap.
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
      result = pcre2_match(compiled, subject, text.size(), start, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                           state.data, state.context);
    }
    return result;
  }
};

Regex::Regex(std::string_view pattern, std::string_view where) {
  const std::string translated = translate_pattern(pattern, where);
  auto code = std::make_shared<Code>();
  code->pattern = pattern;
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  check(context != nullptr, ExitCode::kResource, "no memory for a regular expression");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE position = 0;
  // Ruby's ^ and $ always match at line ends.
  code->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                                 &position, context.get());
  check(code->compiled != nullptr, where, ": the regular expression `", printable(pattern),
        "` is malformed (", message_of(error), ")");
  pcre2_jit_compile(code->compiled,
                    PCRE2_JIT_COMPLETE);  // without it the interpreter runs: slower, same matches
  code_ = std::move(code);
}

Regex Regex::literal(std::string_view text) {
  Regex regex;
  regex.literal_ = text;
  return regex;
}

void Regex::find_all(std::string_view text, Scratch& scratch, std::vector<ByteSpan>& matches) const {
  if (!code_) {
    for (std::size_t at = text.find(literal_); at != std::string_view::npos;
         at = text.find(literal_, at + literal_.size()))
      matches.push_back({at, at + literal_.size()});
    return;
  }
  std::size_t start = 0;
  std::size_t last_end = std::string_view::npos;
  while (start <= text.size()) {
    const int result = code_->match(text, start, *scratch.state_);
    if (result == PCRE2_ERROR_NOMATCH) return;
    if (result < 0) {
      fail("the pre-tokenizer's regular expression `", printable(code_->pattern), "` gives up at byte ",
           start, " of a text of ", text.size(), " bytes (", message_of(result), ")");
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(scratch.state_->data);
    const ByteSpan match{ends[0], ends[1]};
    // An empty match right after the last match is no match: go one character on.
    if (match.begin == match.end && match.end == last_end) {
      start += start < text.size() ? code_point_at(text, start).length : 1;
      continue;
    }
    start = last_end = match.end;
    matches.push_back(match);
  }
}

}  // namespace graft
