#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

// Our own parser over nlohmann's values: the library's parser reports neither the place of a duplicate key
// nor limits depth, and its ordered object looks through all earlier keys at each insertion (minutes for a
// vocabulary).

namespace graft {
namespace {

// True where `source` ends in ":17": it names a line already, and errors add only the column.
bool names_line(std::string_view source) {
  const std::size_t colon = source.rfind(':');
  return colon != std::string_view::npos && colon + 1 < source.size() &&
         source.find_first_not_of("0123456789", colon + 1) == std::string_view::npos;
}

constexpr char kObjectBegin = '{', kObjectEnd = '}';

class JsonParser {
 public:
  JsonParser(std::string_view text, std::string_view source, const JsonLimits& limits)
      : text_(text), source_(source), limits_(limits) {}

  Json parse() {
    if (text_.size() > limits_.max_bytes) {
      fail(printable(source_), ": is too large for JSON (got ", text_.size(), " bytes, want at most ",
           limits_.max_bytes, ")");
    }
    if (const auto invalid = find_invalid_utf8(text_)) fail_at(*invalid, "invalid UTF-8");
    if (text_.starts_with("\xEF\xBB\xBF")) position_ = 3;
    skip_space();
    if (position_ == text_.size()) fail_at(position_, "empty, want a JSON value");
    Json value = parse_value(0);
    skip_space();
    if (position_ < text_.size()) fail_at(position_, "text after the JSON value");
    return value;
  }

 private:
  template <class... Parts>
  [[noreturn]] void fail_at(std::size_t position, const Parts&... parts) const {
    std::size_t line = 1, column = 1;
    for (const char c : text_.substr(0, position)) {
      if (c == '\n') {
        ++line;
        column = 1;
      } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
        ++column;
      }
    }
    const std::string place = names_line(source_) && line == 1 ? "" : std::to_string(line) + ":";
    fail(printable(source_), ":", place, column, ": ", parts...);
  }

  [[noreturn]] void fail_unexpected(const char* want) const {
    if (position_ >= text_.size()) fail_at(position_, "the text ends too early (want ", want, ")");
    const std::size_t length = code_point_at(text_, position_).length;
    fail_at(position_, "unexpected `", printable(text_.substr(position_, length)), "` (want ", want, ")");
  }

  char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }

  bool take(char c) {
    if (position_ >= text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  void skip_space() {
    while (position_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[position_]) != std::string_view::npos) {
      ++position_;
    }
  }

  Json parse_value(int depth) {
    switch (peek()) {
      case kObjectBegin:
        return parse_object(depth + 1);
      case '[':
        return parse_array(depth + 1);
      case '"':
        return parse_string();
      case 't':
        return parse_word("true", true);
      case 'f':
        return parse_word("false", false);
      case 'n':
        return parse_word("null", nullptr);
      default:
        return parse_number();
    }
  }

  void check_depth(int depth) const {
    if (depth > limits_.max_depth)
      fail_at(position_, "nested too deep (want at most ", limits_.max_depth, " levels)");
  }

  Json parse_word(std::string_view word, Json value) {
    if (text_.substr(position_, word.size()) != word) fail_unexpected("a JSON value");
    position_ += word.size();
    return value;
  }

  Json parse_array(int depth) {
    check_depth(depth);
    ++position_;
    Json array = Json::array();
    auto& elements = array.get_ref<Json::array_t&>();
    skip_space();
    if (take(']')) return array;
    while (true) {
      skip_space();
      elements.push_back(parse_value(depth));
      skip_space();
      if (take(']')) return array;
      if (!take(',')) fail_unexpected("`,` or `]`");
    }
  }

  struct Member {
    std::string key;
    std::size_t position;
    Json value;
  };

  Json parse_object(int depth) {
    check_depth(depth);
    ++position_;
    std::vector<Member> members;
    skip_space();
    if (take(kObjectEnd)) return Json::object();
    while (true) {
      skip_space();
      const std::size_t key_position = position_;
      if (peek() != '"') fail_unexpected("a key in double quotes");
      std::string key = parse_string();
      skip_space();
      if (!take(':')) fail_unexpected("`:`");
      skip_space();
      members.push_back({std::move(key), key_position, parse_value(depth)});
      skip_space();
      if (take(kObjectEnd)) return object_of(members);
      if (!take(',')) fail_unexpected("`,` or `}`");
    }
  }

  Json object_of(std::vector<Member>& members) const {
    check_unique(members);
    Json object = Json::object();
    // As a plain vector: emplace() of the ordered map itself compares with every earlier key.
    auto& target = static_cast<Json::object_t::Container&>(object.get_ref<Json::object_t&>());
    target.reserve(members.size());
    for (Member& member : members) target.emplace_back(std::move(member.key), std::move(member.value));
    return object;
  }

  void check_unique(const std::vector<Member>& members) const {
    const auto fail_duplicate = [&](const Member& member) {
      fail_at(member.position, "duplicate key `", printable(member.key), "`");
    };
    if (members.size() <= 16) {
      for (std::size_t i = 1; i < members.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          if (members[i].key == members[j].key) fail_duplicate(members[i]);
        }
      }
      return;
    }
    std::unordered_set<std::string_view> seen;
    seen.reserve(members.size());
    for (const Member& member : members) {
      if (!seen.insert(member.key).second) fail_duplicate(member);
    }
  }

  std::string parse_string() {
    const std::size_t begin = position_++;
    std::string value;
    while (true) {
      const std::size_t run = position_;
      while (position_ < text_.size() && text_[position_] != '"' && text_[position_] != '\\' &&
             static_cast<unsigned char>(text_[position_]) >= 0x20) {
        ++position_;
      }
      value.append(text_, run, position_ - run);
      if (position_ == text_.size()) fail_at(begin, "a string without an end");
      if (take('"')) return value;
      if (text_[position_] != '\\')
        fail_at(position_, "a control character in a string (want an escape such as \\n)");
      parse_escape(value);
    }
  }

  void parse_escape(std::string& value) {
    const std::size_t begin = position_++;
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    if (const std::size_t i = kLetters.find(peek());
        i != std::string_view::npos && position_ < text_.size()) {
      ++position_;
      value += kMeanings[i];
      return;
    }
    if (!take('u')) fail_at(begin, "an unknown escape in a string");
    std::uint32_t code = parse_hex(begin);
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(position_, 2) == "\\u") {
      position_ += 2;
      const std::uint32_t low = parse_hex(begin);
      if (low < 0xDC00 || low > 0xDFFF) fail_at(begin, "a lone surrogate in a string");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code >= 0xD800 && code <= 0xDFFF) fail_at(begin, "a lone surrogate in a string");
    append_utf8(value, code);
  }

  std::uint32_t parse_hex(std::size_t begin) {
    const std::string_view digits = text_.substr(position_, 4);
    std::uint32_t code = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) {
      fail_at(begin, "a \\u escape without four hexadecimal digits");
    }
    position_ += 4;
    return code;
  }

  std::size_t take_digits() {
    const std::size_t begin = position_;
    while (peek() >= '0' && peek() <= '9') ++position_;
    return position_ - begin;
  }

  Json parse_number() {
    const std::size_t begin = position_;
    bool integer = true;
    take('-');
    const bool leading_zero = peek() == '0';
    const std::size_t digits = take_digits();
    if (digits == 0) {
      position_ = begin;
      fail_unexpected("a JSON value");
    }
    if (leading_zero && digits > 1) fail_at(begin, "a number with a leading zero");
    if (take('.')) {
      integer = false;
      if (take_digits() == 0) fail_unexpected("a digit");
    }
    if (peek() == 'e' || peek() == 'E') {
      integer = false;
      ++position_;
      if (!take('+')) take('-');
      if (take_digits() == 0) fail_unexpected("a digit");
    }
    return number_of(begin, integer);
  }

  Json number_of(std::size_t begin, bool integer) const {
    const char* first = text_.data() + begin;
    const char* last = text_.data() + position_;
    if (integer) {
      std::int64_t whole = 0;
      if (std::from_chars(first, last, whole).ec == std::errc()) return whole;
      std::uint64_t large = 0;
      if (*first != '-' && std::from_chars(first, last, large).ec == std::errc()) return large;
    }
    double value = 0;
    if (std::from_chars(first, last, value).ec == std::errc()) return value;
    // from_chars calls underflow an error too; strtod gives the nearest number, 0 or a denormal.
    value = std::strtod(std::string(first, last).c_str(), nullptr);
    if (!std::isfinite(value)) fail_at(begin, "a number out of the range of double");
    return value;
  }

  std::string_view text_, source_;
  JsonLimits limits_;
  std::size_t position_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view source, const JsonLimits& limits) {
  return JsonParser(text, source, limits).parse();
}

Json read_json(const Path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.max_bytes), path.string(), limits);
}

}  // namespace graft
