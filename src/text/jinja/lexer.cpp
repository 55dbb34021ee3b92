#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"
#include "text/jinja/characters.h"
#include "text/jinja/token.h"

namespace graft {
namespace {

using Kind = JinjaToken::Kind;

constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                         "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                         ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

class Lexer {
 public:
  explicit Lexer(const JinjaSource& source) : source_(source), text_(source.text) {}

  std::vector<JinjaToken> run() {
    while (position_ < text_.size()) {
      const std::size_t tag = find_tag();
      if (tag == text_.size()) {
        put_data(text_.substr(position_));
        position_ = tag;
      } else if (const std::size_t raw = match_raw(tag); raw != std::string_view::npos) {
        put_data(before_tag(tag));
        read_raw(tag, raw);
      } else {
        put_data(before_tag(tag));
        read_tag(tag);
      }
    }
    put(Kind::kEnd, text_.size(), "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail_at(std::size_t at, const std::string& what) const {
    fail(source_.place(at), ": ", what);
  }

  void put(Kind kind, std::size_t at, std::string text) { tokens_.push_back({kind, at, std::move(text)}); }

  void put_data(std::string_view data) {
    if (!data.empty()) put(Kind::kData, position_, std::string(data));
  }

  std::size_t find_tag() const {
    for (std::size_t i = text_.find('{', position_); i < text_.size(); i = text_.find('{', i + 1)) {
      if (i + 1 < text_.size() && std::string_view("{%#").find(text_[i + 1]) != std::string_view::npos)
        return i;
    }
    return text_.size();
  }

  char sign_at(std::size_t i) const {
    const char c = i < text_.size() ? text_[i] : ' ';
    return c == '-' || c == '+' ? c : ' ';
  }

  // The data before a tag: "-" takes all white space, a block or comment that starts its line the
  // indentation.
  std::string_view before_tag(std::size_t tag) const {
    return strip_before(position_, tag, sign_at(tag + 2));
  }

  std::string_view strip_before(std::size_t begin, std::size_t tag, char sign) const {
    const std::string_view data = text_.substr(begin, tag - begin);
    if (sign == '-') return data.substr(0, data.size() - trailing_space(data));
    if (sign == '+' || text_[tag + 1] == '{') return data;
    const std::size_t line = data.rfind('\n') + 1;
    const bool blank = trailing_space(data.substr(line)) == data.size() - line;
    return blank && (line > 0 || line_starts_) ? data.substr(0, line) : data;
  }

  void skip_space() { position_ += leading_space(text_.substr(position_)); }

  // Moves behind the end of a tag that starts at `end` (its sign included): "-" takes white space, a block or
  // comment its line break.
  void leave_tag(std::size_t end, bool has_minus, bool has_plus, bool is_output) {
    position_ = end;
    if (has_minus)
      skip_space();
    else if (!is_output && !has_plus && text_.substr(position_).starts_with('\n'))
      ++position_;
    line_starts_ = text_[position_ - 1] == '\n';
  }

  // Where the content after {% raw %} begins, or npos.
  std::size_t match_raw(std::size_t tag) const {
    if (text_[tag + 1] != '%') return std::string_view::npos;
    std::size_t i = tag + 2 + (sign_at(tag + 2) == ' ' ? 0 : 1);
    i += leading_space(text_.substr(i));
    if (!text_.substr(i).starts_with("raw")) return std::string_view::npos;
    i += 3;
    i += leading_space(text_.substr(i));
    const bool minus = sign_at(i) == '-';
    if (minus) ++i;
    if (!text_.substr(i).starts_with("%}")) return std::string_view::npos;
    i += 2;
    return minus ? i + leading_space(text_.substr(i)) : i;
  }

  void read_raw(std::size_t tag, std::size_t begin) {
    line_starts_ = text_[begin - 1] == '\n';
    for (std::size_t i = text_.find("{%", begin); i != std::string_view::npos; i = text_.find("{%", i + 2)) {
      std::size_t word = i + 2 + (sign_at(i + 2) == ' ' ? 0 : 1);
      word += leading_space(text_.substr(word));
      if (!text_.substr(word).starts_with("endraw")) continue;
      std::size_t end = word + 6;
      end += leading_space(text_.substr(end));
      const char sign = sign_at(end);
      if (sign != ' ') ++end;
      if (!text_.substr(end).starts_with("%}")) continue;
      position_ = begin;
      put_data(strip_before(begin, i, sign_at(i + 2)));
      leave_tag(end + 2, sign == '-', sign == '+', false);
      return;
    }
    fail_at(tag, "missing end of raw directive");
  }

  void read_tag(std::size_t tag) {
    const char kind = text_[tag + 1];
    position_ = tag + 2;
    if (kind == '#') return read_comment(tag);
    if (sign_at(position_) != ' ') ++position_;
    const bool is_output = kind == '{';
    put(is_output ? Kind::kOutputBegin : Kind::kBlockBegin, tag, "");
    while (!read_end(is_output)) {
      if (position_ >= text_.size()) fail_at(tag, is_output ? "unclosed {{" : "unclosed {%");
      read_token();
    }
  }

  void read_comment(std::size_t tag) {
    if (sign_at(position_) != ' ') ++position_;
    const std::size_t end = text_.find("#}", position_);
    if (end == std::string_view::npos) fail_at(tag, "missing end of comment tag");
    const char sign = end > position_ ? sign_at(end - 1) : ' ';
    leave_tag(end + 2, sign == '-', sign == '+', false);
  }

  // Leaves the tag if it ends here; inside brackets "}}" is two of them.
  bool read_end(bool is_output) {
    skip_space();
    if (!brackets_.empty()) return false;
    const std::string_view closing = is_output ? "}}" : "%}";
    const std::string_view rest = text_.substr(position_);
    const bool minus = rest.starts_with('-') && rest.substr(1).starts_with(closing);
    const bool plus = !is_output && rest.starts_with('+') && rest.substr(1).starts_with(closing);
    if (!minus && !plus && !rest.starts_with(closing)) return false;
    put(is_output ? Kind::kOutputEnd : Kind::kBlockEnd, position_, "");
    leave_tag(position_ + closing.size() + (minus || plus ? 1 : 0), minus, plus, is_output);
    return true;
  }

  void read_token() {
    const char c = text_[position_];
    if (is_digit(c)) return read_number();
    if (is_name_start(c)) return read_name();
    if (c == '\'' || c == '"') return read_string(c);
    const std::string_view rest = text_.substr(position_);
    const auto found =
        std::ranges::find_if(kOperators, [&](std::string_view word) { return rest.starts_with(word); });
    if (found == kOperators.end())
      fail_at(position_, "unexpected character `" + printable(rest.substr(0, 1)) + "`");
    balance(*found);
    put(Kind::kOperator, position_, std::string(*found));
    position_ += found->size();
  }

  void balance(std::string_view word) {
    static constexpr std::string_view kOpening = "([{", kClosing = ")]}";
    if (const auto i = kOpening.find(word); word.size() == 1 && i != std::string_view::npos)
      brackets_ += kClosing[i];
    if (word.size() != 1 || kClosing.find(word) == std::string_view::npos) return;
    if (brackets_.empty()) fail_at(position_, "unexpected `" + std::string(word) + "`");
    if (brackets_.back() != word[0])
      fail_at(position_, "unexpected `" + std::string(word) + "`, expected `" + brackets_.back() + "`");
    brackets_.pop_back();
  }

  void read_name() {
    const std::size_t begin = position_;
    while (position_ < text_.size() && is_name_part(text_[position_])) ++position_;
    put(Kind::kName, begin, std::string(text_.substr(begin, position_ - begin)));
  }

  std::size_t digits_from(std::size_t i) const {
    while (i < text_.size() &&
           (is_digit(text_[i]) || (text_[i] == '_' && i + 1 < text_.size() && is_digit(text_[i + 1]))))
      ++i;
    return i;
  }

  void read_number() {
    const std::size_t begin = position_;
    std::size_t end = digits_from(begin);
    bool is_float = false;
    // After a dot a number is an index: x.1.2 are two of them.
    const bool after_dot = begin > 0 && text_[begin - 1] == '.';
    if (!after_dot && end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
      end = digits_from(end + 1);
      is_float = true;
    }
    if (!after_dot && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      const std::size_t sign =
          end + 1 < text_.size() && (text_[end + 1] == '+' || text_[end + 1] == '-') ? 1 : 0;
      if (end + 1 + sign < text_.size() && is_digit(text_[end + 1 + sign])) {
        end = digits_from(end + 1 + sign);
        is_float = true;
      }
    }
    std::string digits(text_.substr(begin, end - begin));
    std::erase(digits, '_');
    put(is_float ? Kind::kFloat : Kind::kInteger, begin, std::move(digits));
    position_ = end;
  }

  void read_string(char quote) {
    const std::size_t begin = position_++;
    std::string value;
    while (position_ < text_.size() && text_[position_] != quote) {
      if (text_[position_] == '\\')
        read_escape(value);
      else
        value += text_[position_++];
    }
    if (position_ >= text_.size()) fail_at(begin, "unclosed string");
    ++position_;
    put(Kind::kString, begin, std::move(value));
  }

  // The escapes of Python's strings; an unknown one stands for itself.
  void read_escape(std::string& value) {
    static constexpr std::string_view kNames = "n\nt\tr\r\\\\'\'\"\"a\ab\bf\fv\v";
    if (position_ + 1 >= text_.size()) fail_at(position_, "unclosed string");
    const char name = text_[position_ + 1];
    if (name == 'x' || name == 'u' || name == 'U')
      return read_code(value, name == 'x' ? 2 : name == 'u' ? 4 : 8);
    if (name >= '0' && name <= '7') return read_octal(value);
    if (name == 'N') fail_at(position_, "characters by name (\\N) are not supported");
    position_ += 2;
    if (name == '\n') return;
    for (std::size_t i = 0; i + 1 < kNames.size(); i += 2) {
      if (kNames[i] != name) continue;
      value += kNames[i + 1];
      return;
    }
    value += '\\';
    value += name;
  }

  void read_octal(std::string& value) {
    std::uint32_t code = 0;
    std::size_t i = position_ + 1;
    for (int count = 0; count < 3 && i < text_.size() && text_[i] >= '0' && text_[i] <= '7'; ++count, ++i)
      code = code * 8 + static_cast<std::uint32_t>(text_[i] - '0');
    append_utf8(value, code);
    position_ = i;
  }

  void read_code(std::string& value, std::size_t digits) {
    std::uint32_t code = 0;
    for (std::size_t i = position_ + 2; i < position_ + 2 + digits; ++i) {
      static constexpr std::string_view kDigits = "0123456789abcdef";
      const char c = i < text_.size() ? text_[i] : ' ';
      const std::size_t digit = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
      if (digit == std::string_view::npos) fail_at(position_, "truncated escape in a string");
      code = code * 16 + static_cast<std::uint32_t>(digit);
    }
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (code > 0x10FFFF || surrogate) fail_at(position_, "an escape that is no character");
    append_utf8(value, code);
    position_ += 2 + digits;
  }

  const JinjaSource& source_;
  std::string_view text_;
  std::size_t position_ = 0;
  bool line_starts_ = true;
  std::string brackets_;  // those that are still to be closed, in order
  std::vector<JinjaToken> tokens_;
};

}  // namespace

std::vector<JinjaToken> read_jinja_tokens(const JinjaSource& source) { return Lexer(source).run(); }

}  // namespace graft
