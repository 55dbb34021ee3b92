#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "text/jinja/token.h"

namespace graft {

/// Reads tokens from front to back.
class JinjaTokenStream {
 public:
  using Kind = JinjaToken::Kind;
  explicit JinjaTokenStream(const JinjaSource& source)
      : source_(source), tokens_(read_jinja_tokens(source)) {}

  const JinjaToken& now() const { return tokens_[position_]; }
  const JinjaToken& next() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  /// The current token; moves on, but never behind kEnd.
  const JinjaToken& take() { return now().kind == Kind::kEnd ? now() : tokens_[position_++]; }

  bool at(Kind kind) const { return now().kind == kind; }
  bool at_name(std::string_view name) const { return is(now(), Kind::kName, name); }
  bool at_operator(std::string_view word) const { return is(now(), Kind::kOperator, word); }
  bool next_is_operator(std::string_view word) const { return is(next(), Kind::kOperator, word); }
  bool next_is_name(std::string_view name) const { return is(next(), Kind::kName, name); }

  bool skip_name(std::string_view name) { return at_name(name) && (take(), true); }
  bool skip_operator(std::string_view word) { return at_operator(word) && (take(), true); }
  void want_operator(std::string_view word) {
    if (!skip_operator(word)) fail_here("expected `" + std::string(word) + "`, got " + describe());
  }
  const JinjaToken& want(Kind kind, std::string_view what) {
    if (!at(kind)) fail_here("expected " + std::string(what) + ", got " + describe());
    return take();
  }

  /// The current token in words, for errors.
  std::string describe() const {
    switch (now().kind) {
      case Kind::kEnd:
        return "the end of the template";
      case Kind::kOutputEnd:
        return "`}}`";
      case Kind::kBlockEnd:
        return "`%}`";
      default:
        return "`" + printable(now().text, 40) + "`";
    }
  }
  [[noreturn]] void fail_here(const std::string& what) const { fail_at(now().at, what); }
  [[noreturn]] void fail_at(std::size_t at, const std::string& what) const {
    fail(source_.place(at), ": ", what);
  }

 private:
  static bool is(const JinjaToken& token, Kind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }

  const JinjaSource& source_;
  std::vector<JinjaToken> tokens_;
  std::size_t position_ = 0;
};

}  // namespace graft
