#include "text/jinja/text_operations.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "text/jinja/characters.h"
#include "text/jinja/library.h"

namespace graft {
namespace {

bool is_line_break(std::uint32_t c) {
  return (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

std::size_t leading_of(std::string_view text, std::string_view set) {
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t length = code_point_at(text, i).length;
    if (set.find(text.substr(i, length)) == std::string_view::npos) break;
    i += length;
  }
  return i;
}

std::size_t trailing_of(std::string_view text, std::string_view set) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
    if (set.find(text.substr(begin, end - begin)) == std::string_view::npos) break;
    end = begin;
  }
  return text.size() - end;
}

// One %-conversion: flags, width, precision, letter.
struct Conversion {
  bool left = false, zero = false, sign = false;
  std::size_t width = 0;
  int precision = -1;
  char letter = 's';
};

std::size_t read_digits(const std::string& format, std::size_t& i) {
  std::size_t value = 0;
  constexpr std::size_t kMax = 1000;
  while (i < format.size() && format[i] >= '0' && format[i] <= '9')
    value = std::min(kMax, value * 10 + static_cast<std::size_t>(format[i++] - '0'));
  return value;
}

Conversion read_conversion(const JinjaRuntime& runtime, const std::string& format, std::size_t& i) {
  Conversion conversion;
  for (; i < format.size() && std::string_view("-0+ #").find(format[i]) != std::string_view::npos; ++i) {
    conversion.left |= format[i] == '-';
    conversion.zero |= format[i] == '0';
    conversion.sign |= format[i] == '+';
  }
  conversion.width = read_digits(format, i);
  if (i < format.size() && format[i] == '.')
    conversion.precision = static_cast<int>(std::min<std::size_t>(read_digits(format, ++i), 100));
  if (i >= format.size()) runtime.fail("incomplete format");
  conversion.letter = format[i++];
  return conversion;
}

std::string number_text(const JinjaRuntime& runtime, const Conversion& conversion, const JinjaValue& value) {
  runtime.want_defined(value);
  const auto number = value.number();
  if (!number) runtime.fail("%", conversion.letter, ": got a ", value.type_name(), ", want a number");
  std::string text;
  if (conversion.letter == 'f' || conversion.letter == 'F') {
    char digits[512];
    const int precision = conversion.precision < 0 ? 6 : conversion.precision;
    std::snprintf(digits, sizeof digits, "%.*f", precision, *number);
    text = digits;
  } else {
    if (!(std::abs(*number) < 9.2e18)) runtime.fail("an integer that does not fit 64 bits");
    const std::int64_t whole = value.integer().value_or(static_cast<std::int64_t>(*number));
    char digits[72];
    const int base = conversion.letter == 'x' || conversion.letter == 'X' ? 16
                     : conversion.letter == 'o'                           ? 8
                                                                          : 10;
    text.assign(digits, std::to_chars(digits, digits + sizeof digits, whole, base).ptr);
    if (conversion.letter == 'X') text = with_case(text, LetterCase::kUpper);
  }
  return conversion.sign && *number >= 0 ? "+" + text : text;
}

std::string converted(JinjaRuntime& runtime, const Conversion& conversion, const JinjaValue& value) {
  std::string text;
  const bool is_number = std::string_view("diufFxXo").find(conversion.letter) != std::string_view::npos;
  if (is_number) {
    text = number_text(runtime, conversion, value);
  } else if (conversion.letter == 's' || conversion.letter == 'r') {
    text = conversion.letter == 's' ? runtime.text(value) : jinja_repr(value).value_or("");
    if (conversion.precision >= 0) {
      const std::vector<std::size_t> starts = character_starts(text);
      text.resize(starts[std::min(starts.size() - 1, static_cast<std::size_t>(conversion.precision))]);
    }
  } else {
    runtime.fail("the format %", conversion.letter, " is not supported");
  }
  const auto size = static_cast<std::size_t>(count_characters(text));
  if (size >= conversion.width) return text;
  const std::size_t missing = conversion.width - size;
  if (conversion.left) return text + std::string(missing, ' ');
  if (!conversion.zero || !is_number) return std::string(missing, ' ') + text;
  const bool signed_text = text[0] == '-' || text[0] == '+';
  return text.insert(signed_text ? 1 : 0, std::string(missing, '0'));
}

// The value that a field of str.format names: "", "0", "name".
const JinjaValue& field_value(const JinjaRuntime& runtime, const std::string& field, std::size_t& automatic,
                              const JinjaArguments& arguments) {
  std::size_t index = 0;
  const auto parsed = std::from_chars(field.data(), field.data() + field.size(), index);
  const bool is_index = parsed.ec == std::errc() && parsed.ptr == field.data() + field.size();
  if (field.empty()) index = automatic++;
  if (field.empty() || is_index) {
    if (index >= arguments.positional.size()) runtime.fail("format: no argument ", index);
    return arguments.positional[index];
  }
  for (const auto& [name, value] : arguments.keywords)
    if (name == field) return value;
  runtime.fail("format: the field `", printable(field, 40), "` is not supported or has no argument");
}

}  // namespace

JinjaValue strip_text(JinjaRuntime& runtime, const JinjaValue& value, const JinjaValue* characters,
                      TextSide side) {
  const std::string text = runtime.text(value);
  const bool space = characters == nullptr || characters->is_none();
  const std::string set = space ? "" : runtime.want_string(*characters, "strip");
  runtime.charge(text.size() * (1 + set.size() / 16));
  std::string_view rest = text;
  if (side != TextSide::kRight) rest.remove_prefix(space ? leading_space(rest) : leading_of(rest, set));
  if (side != TextSide::kLeft) rest.remove_suffix(space ? trailing_space(rest) : trailing_of(rest, set));
  return JinjaValue(std::string(rest), value.is_markup());
}

std::string replace_text(JinjaRuntime& runtime, const std::string& text, const std::string& old,
                         const std::string& replacement, std::int64_t count) {
  runtime.charge_search(text, old);
  std::string result;
  std::size_t position = 0;
  const auto replace_at = [&](std::size_t found) {
    runtime.charge(found - position + replacement.size() + 1);
    result.append(text, position, found - position).append(replacement);
    position = found + old.size();
  };
  if (old.empty()) {
    for (const std::size_t start : character_starts(text))
      if (count-- != 0)
        replace_at(start);
      else
        break;
  } else {
    for (std::size_t found = text.find(old); found != std::string::npos && count-- != 0;
         found = text.find(old, position))
      replace_at(found);
  }
  runtime.charge(text.size() - position);
  return result.append(text, position);
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = code_point_at(text, i);
    const std::size_t end = i;
    i += point.length;
    if (!is_line_break(point.value)) continue;
    if (point.value == '\r' && i < text.size() && text[i] == '\n') ++i;
    lines.emplace_back(text.substr(begin, (keep_ends ? i : end) - begin));
    begin = i;
  }
  if (begin < text.size()) lines.emplace_back(text.substr(begin));
  return lines;
}

std::string jinja_percent_format(JinjaRuntime& runtime, const std::string& format,
                                 const std::vector<JinjaValue>& values) {
  std::string result;
  std::size_t used = 0;
  for (std::size_t i = 0; i < format.size();) {
    if (format[i] != '%') {
      result += format[i++];
      continue;
    }
    ++i;
    if (i < format.size() && format[i] == '(') runtime.fail("formats with names are not supported");
    const Conversion conversion = read_conversion(runtime, format, i);
    if (conversion.letter == '%') {
      result += '%';
      continue;
    }
    if (used >= values.size()) runtime.fail("not enough arguments for the format");
    result += converted(runtime, conversion, values[used++]);
  }
  const bool ignores_dict = used == 0 && values.size() == 1 && values[0].dict() != nullptr;
  if (used < values.size() && !ignores_dict) runtime.fail("not all arguments of the format were used");
  runtime.charge(result.size());
  return result;
}

std::string brace_format(JinjaRuntime& runtime, const std::string& format, const JinjaArguments& arguments) {
  std::string result;
  std::size_t automatic = 0;
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char c = format[i];
    if ((c == '{' || c == '}') && i + 1 < format.size() && format[i + 1] == c) {
      result += c;
      ++i;
    } else if (c == '{') {
      const std::size_t end = format.find('}', i);
      if (end == std::string::npos) runtime.fail("format: `{` without `}`");
      result += runtime.text(field_value(runtime, format.substr(i + 1, end - i - 1), automatic, arguments));
      i = end;
    } else if (c == '}') {
      runtime.fail("format: `}` without `{`");
    } else {
      result += c;
    }
  }
  runtime.charge(result.size());
  return result;
}

}  // namespace graft
