#include "text/jinja_outline.h"

#include <algorithm>
#include <cctype>

// Source: Jinja 3 template designer documentation; jinja2/lexer.py for white space.

namespace graft {
namespace {

using Kind = JinjaPart::Kind;

struct Token {
  enum class Kind { kName, kNumber, kString, kOperator } kind;
  std::string text;  // a string's value, unescaped
};

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_blank(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// The value of the literal that starts at `position`, which moves behind it.
std::optional<std::string> read_string(std::string_view code, std::size_t& position) {
  const char quote = code[position++];
  std::string value;
  while (position < code.size() && code[position] != quote) {
    char c = code[position++];
    if (c == '\\') {
      if (position == code.size()) return std::nullopt;
      static constexpr std::string_view kEscapes = "n\nt\tr\r\\\\'\'\"\"";
      std::size_t escape = 0;
      while (escape < kEscapes.size() && kEscapes[escape] != code[position]) escape += 2;
      if (escape >= kEscapes.size()) return std::nullopt;
      c = kEscapes[escape + 1];
      ++position;
    }
    value += c;
  }
  if (position == code.size()) return std::nullopt;
  ++position;
  return value;
}

std::optional<std::vector<Token>> tokens_of(std::string_view code) {
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < code.size();) {
    const char c = code[i];
    std::size_t end = i + 1;
    if (is_blank(c)) {
      i = end;
    } else if (c == '\'' || c == '"') {
      const auto value = read_string(code, i);
      if (!value) return std::nullopt;
      tokens.push_back({Token::Kind::kString, *value});
    } else if (is_name_character(c)) {
      while (end < code.size() && is_name_character(code[end])) ++end;
      const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
      tokens.push_back(
          {digit ? Token::Kind::kNumber : Token::Kind::kName, std::string(code.substr(i, end - i))});
      i = end;
    } else {
      if (end < code.size() && code[end] == '=' && std::string_view("!=<>").find(c) != std::string_view::npos)
        ++end;
      tokens.push_back({Token::Kind::kOperator, std::string(code.substr(i, end - i))});
      i = end;
    }
  }
  return tokens;
}

bool is_operator(const Token& token, std::string_view text) {
  return token.kind == Token::Kind::kOperator && token.text == text;
}

// x['a'] becomes x.a.
std::vector<Token> with_attributes(const std::vector<Token>& tokens) {
  std::vector<Token> result;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool after_value =
        !result.empty() && (result.back().kind == Token::Kind::kName || is_operator(result.back(), "]"));
    if (after_value && i + 2 < tokens.size() && is_operator(tokens[i], "[") &&
        tokens[i + 1].kind == Token::Kind::kString && is_operator(tokens[i + 2], "]")) {
      result.push_back({Token::Kind::kOperator, "."});
      result.push_back({Token::Kind::kName, tokens[i + 1].text});
      i += 2;
    } else {
      result.push_back(tokens[i]);
    }
  }
  return result;
}

std::string spelled(const std::vector<Token>& tokens) {
  std::string text;
  for (const Token& token : tokens) {
    if (!text.empty()) text += ' ';
    text += token.kind == Token::Kind::kString ? "'" + token.text + "'" : token.text;
  }
  return text;
}

// Splits a source into text and tags and removes the white space that Jinja removes.
class Outliner {
 public:
  using Constant = std::function<std::optional<std::string>(std::string_view name)>;
  Outliner(std::string_view source, const Constant& constant) : source_(source), constant_(constant) {}

  std::optional<std::vector<JinjaPart>> run() {
    if (source_.ends_with('\n')) source_.remove_suffix(1);
    while (position_ < source_.size()) {
      const std::size_t tag = find_tag();
      std::string_view text = source_.substr(position_, tag - position_);
      if (tag < source_.size())
        text = before_tag(text, source_[tag + 1], tag + 2 < source_.size() ? source_[tag + 2] : ' ');
      put(Kind::kText, text);
      position_ = tag;
      if (tag < source_.size() && !read_tag()) return std::nullopt;
    }
    return std::move(parts_);
  }

 private:
  std::size_t find_tag() const {
    for (std::size_t i = position_; i + 1 < source_.size(); ++i)
      if (source_[i] == '{' && std::string_view("{%#").find(source_[i + 1]) != std::string_view::npos)
        return i;
    return source_.size();
  }

  // The text before a tag of the given kind: "-" takes all white space, a block at a line's start its
  // indentation.
  std::string_view before_tag(std::string_view text, char tag, char modifier) const {
    if (modifier == '-') {
      while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
      return text;
    }
    if (tag == '{' || modifier == '+') return text;
    std::size_t begin = text.size();
    while (begin > 0 && (text[begin - 1] == ' ' || text[begin - 1] == '\t')) --begin;
    const bool at_line_start = begin > 0 ? text[begin - 1] == '\n' : line_starts_;
    return at_line_start ? text.substr(0, begin) : text;
  }

  bool read_tag() {
    const char kind = source_[position_ + 1];
    const char closing = kind == '{' ? '}' : kind;
    const std::size_t end = find_end(closing, kind != '#');
    if (end == std::string_view::npos) return false;
    std::string_view code = source_.substr(position_ + 2, end - position_ - 2);
    const char last = code.empty() ? ' ' : code.back();
    if (!code.empty() && (code.front() == '-' || code.front() == '+')) code.remove_prefix(1);
    if (!code.empty() && (code.back() == '-' || code.back() == '+')) code.remove_suffix(1);
    position_ = end + 2;
    const std::size_t begin = position_;
    if (last == '-')
      while (position_ < source_.size() && is_blank(source_[position_])) ++position_;
    else if (last != '+' && kind != '{' && source_.substr(position_).starts_with('\n'))
      ++position_;
    line_starts_ = position_ > begin && source_[position_ - 1] == '\n';
    return kind == '#' || (kind == '{' ? read_output(code) : read_statement(code));
  }

  // Where the tag that starts at position_ ends; string literals are skipped.
  std::size_t find_end(char closing, bool has_strings) const {
    for (std::size_t i = position_ + 2; i + 1 < source_.size(); ++i) {
      const char c = source_[i];
      if (has_strings && (c == '\'' || c == '"')) {
        if (!read_string(source_, i)) return std::string_view::npos;
        --i;
      } else if (c == closing && source_[i + 1] == '}') {
        return i;
      }
    }
    return std::string_view::npos;
  }

  bool read_statement(std::string_view code) {
    const auto tokens = tokens_of(code);
    if (!tokens || tokens->empty()) return false;
    put(Kind::kStatement, spelled(with_attributes(*tokens)));
    return true;
  }

  // A sum of strings is printed term by term; only sums may stand in parentheses.
  bool read_output(std::string_view code) {
    const auto tokens = tokens_of(code);
    if (!tokens) return false;
    std::vector<Token> term;
    for (const Token& token : with_attributes(*tokens)) {
      if (is_operator(token, "+") || is_operator(token, "~") || is_operator(token, "(") ||
          is_operator(token, ")")) {
        if (!put_term(term)) return false;
        term.clear();
      } else {
        term.push_back(token);
      }
    }
    return put_term(term);
  }

  bool put_term(const std::vector<Token>& term) {
    if (term.empty()) return true;
    if (term.size() == 1 && term[0].kind == Token::Kind::kString) {
      put(Kind::kText, term[0].text);
      return true;
    }
    const auto text = term.size() == 1 ? constant_(term[0].text) : std::nullopt;
    // Beside names and attributes nothing is taken apart safely: a filter or a call may bind tighter than the
    // sum.
    const bool plain = std::ranges::all_of(
        term, [](const Token& t) { return t.kind == Token::Kind::kName || is_operator(t, "."); });
    if (!plain) return false;
    put(text ? Kind::kText : Kind::kOutput, text ? *text : spelled(term));
    return true;
  }

  void put(Kind kind, std::string_view text) {
    if (kind == Kind::kText && text.empty()) return;
    if (kind == Kind::kText && !parts_.empty() && parts_.back().kind == kind)
      parts_.back().text += text;
    else
      parts_.push_back({kind, std::string(text)});
  }

  std::string_view source_;
  const Constant& constant_;
  std::size_t position_ = 0;
  bool line_starts_ = true;
  std::vector<JinjaPart> parts_;
};

}  // namespace

std::optional<std::vector<JinjaPart>> outline_of_jinja(
    std::string_view source, const std::function<std::optional<std::string>(std::string_view)>& constant) {
  return Outliner(source, constant).run();
}

}  // namespace graft
