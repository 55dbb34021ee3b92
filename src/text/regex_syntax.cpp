#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "text/regex.h"

// Oniguruma and PCRE2 share most syntax; where a construct is spelled alike but means something else it is
// rewritten or refused. Sources: oniguruma doc/RE (Ruby syntax); pcre2pattern(3).

namespace graft {
namespace {

// Unicode's White_Space. PCRE2's own \s counts U+180E too.
constexpr std::string_view kSpace =
    R"(\t-\r\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027})"
    R"(\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
// PCRE2's own \w lacks marks.
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";

constexpr std::array<std::string_view, 37> kCategories = {
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd", "Nl",
    "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk",
    "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cn", "Cs"};
// By script; without "sc:" PCRE2 would take script extensions.
constexpr std::array<std::string_view, 10> kScripts = {
    "Han", "Hiragana", "Katakana", "Hangul", "Latin", "Cyrillic", "Greek", "Arabic", "Thai", "Hebrew"};
constexpr std::array<std::string_view, 8> kGroups = {"?:", "?=", "?!", "?<=", "?<!", "?>", "?i:", "?-i:"};

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where) : pattern_(pattern), where_(where) {}

  std::string run() {
    while (position_ < pattern_.size()) {
      if (in_class_)
        translate_in_class();
      else
        translate_outside();
    }
    if (in_class_) refuse("a `[` without its `]`");
    return std::move(result_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(where_, ": the regular expression `", printable(pattern_), "` uses ", what,
         ", which this version does not support (at character ", position_, ")");
  }

  char peek(std::size_t ahead = 0) const {
    return position_ + ahead < pattern_.size() ? pattern_[position_ + ahead] : '\0';
  }
  bool follows(std::string_view text) const { return pattern_.substr(position_).starts_with(text); }
  void copy(std::size_t count = 1) {
    result_ += pattern_.substr(position_, count);
    position_ += count;
  }

  void translate_outside() {
    switch (peek()) {
      case '\\':
        return translate_escape();
      case '[':
        return open_class();
      case '(':
        return open_group();
      case '{':
        if (peek(1) == ',') refuse("`{,n}`");
        return copy();
      case '}':
        if (peek(1) == '+') refuse("`}+`");
        return copy();
      default:
        return copy();
    }
  }

  void open_class() {
    in_class_ = true;
    copy(peek(1) == '^' ? 2 : 1);
    if (peek() == ']') refuse("`[]`");
  }

  void open_group() {
    copy();
    if (peek() != '?') return;
    const auto group =
        std::find_if(kGroups.begin(), kGroups.end(), [&](std::string_view g) { return follows(g); });
    if (group == kGroups.end()) refuse("the group `(" + std::string(pattern_.substr(position_, 3)) + "`");
    copy(group->size());
  }

  void translate_in_class() {
    if (peek() == '\\') return translate_escape();
    if (peek() == '[') refuse("a class inside a class");
    if (follows("&&")) refuse("`&&` in a class");
    if (peek() == ']') in_class_ = false;
    copy();
  }

  void put_set(std::string_view set, bool negated) {
    position_ += 2;
    if (in_class_)
      result_ += set;
    else
      result_.append(negated ? "[^" : "[").append(set).append("]");
  }

  void translate_escape() {
    const char c = peek(1);
    if (c == 's') return put_set(kSpace, false);
    if (c == 'S') return in_class_ ? put_set(kNotSpace, false) : put_set(kSpace, true);
    if (c == 'w') return put_set(kWord, false);
    if (c == 'W' && !in_class_) return put_set(kWord, true);
    if (c == 'd' || c == 'D') {
      position_ += 2;
      result_ += c == 'd' ? "\\p{Nd}" : "\\P{Nd}";
      return;
    }
    if (c == 'v') {  // a vertical tab; in PCRE2 any vertical space
      position_ += 2;
      result_ += "\\x0B";
      return;
    }
    if (c == 'p' || c == 'P') return translate_property();
    if (c == 'x') return translate_hex();
    if (c == 'u') return translate_unicode();
    const std::string_view plain = in_class_ ? "rntfaeb" : "rntfaebBAzZ";
    const bool punctuation = c > ' ' && c < 0x7F && !std::isalnum(static_cast<unsigned char>(c));
    if (!punctuation && c != ' ' && (c == '\0' || plain.find(c) == std::string_view::npos))
      refuse("the escape `" + printable(pattern_.substr(position_, 2)) + "`");
    copy(2);
  }

  void translate_property() {
    const std::size_t end = pattern_.find('}', position_);
    if (peek(2) != '{' || end == std::string_view::npos) refuse("`\\p` without {…}");
    std::string_view name = pattern_.substr(position_ + 3, end - position_ - 3);
    bool negated = peek(1) == 'P';
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const bool script = contains(kScripts, name);
    if (!script && !contains(kCategories, name)) refuse("the property `" + std::string(name) + "`");
    result_.append(negated ? "\\P{" : "\\p{").append(script ? "sc:" : "").append(name).append("}");
    position_ = end + 1;
  }

  void translate_hex() {
    if (peek(2) != '{') {
      if (!is_hex(peek(2)) || !is_hex(peek(3))) refuse("`\\x` without two digits");
      return copy(4);
    }
    const std::size_t end = pattern_.find('}', position_);
    if (end == std::string_view::npos) refuse("`\\x{` without `}`");
    copy(end + 1 - position_);
  }

  void translate_unicode() {
    for (std::size_t i = 2; i < 6; ++i)
      if (!is_hex(peek(i))) refuse("`\\u` without four digits");
    result_.append("\\x{").append(pattern_.substr(position_ + 2, 4)).append("}");
    position_ += 6;
  }

  std::string_view pattern_, where_;
  std::size_t position_ = 0;
  bool in_class_ = false;
  std::string result_;
};

}  // namespace

std::string translate_pattern(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).run();
}

}  // namespace graft
