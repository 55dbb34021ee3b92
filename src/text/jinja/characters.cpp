#include "text/jinja/characters.h"

#include <utf8proc.h>

#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"

namespace graft {
namespace {

bool is_cased(std::uint32_t c) {
  const auto kind = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT;
}

bool is_printable(std::uint32_t c) {
  if (c == ' ') return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

void append_upper(std::string& out, std::uint32_t c) {
  constexpr std::uint32_t kSharpS = 0xDF;
  if (c == kSharpS)
    out += "SS";
  else
    append_utf8(out, static_cast<std::uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
}

void append_lower(std::string& out, std::uint32_t c) {
  append_utf8(out, static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

void append_escape(std::string& out, char kind, int digits, std::uint32_t value) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  out += '\\';
  out += kind;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += kDigits[(value >> shift) & 0xFU];
}

void append_unprintable(std::string& out, std::uint32_t c) {
  if (c == '\n')
    out += "\\n";
  else if (c == '\r')
    out += "\\r";
  else if (c == '\t')
    out += "\\t";
  else if (c < 0x100)
    append_escape(out, 'x', 2, c);
  else if (c < 0x10000)
    append_escape(out, 'u', 4, c);
  else
    append_escape(out, 'U', 8, c);
}

template <class Visit>
void each_character(std::string_view text, const Visit& visit) {
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint point = code_point_at(text, i);
    visit(point.value);
    i += point.length;
  }
}

}  // namespace

bool is_python_space(std::uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::size_t leading_space(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const CodePoint point = code_point_at(text, i);
    if (!is_python_space(point.value)) break;
    i += point.length;
  }
  return i;
}

std::size_t trailing_space(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
    if (!is_python_space(code_point_at(text, begin).value)) break;
    end = begin;
  }
  return text.size() - end;
}

std::int64_t count_characters(std::string_view text) {
  std::int64_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U ? 1 : 0;
  return count;
}

std::vector<std::size_t> character_starts(std::string_view text) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) starts.push_back(i);
  starts.push_back(text.size());
  return starts;
}

std::string with_case(std::string_view text, LetterCase letter_case) {
  std::string out;
  out.reserve(text.size());
  each_character(text, [&](std::uint32_t c) {
    letter_case == LetterCase::kUpper ? append_upper(out, c) : append_lower(out, c);
  });
  return out;
}

std::string python_title(std::string_view text) {
  std::string out;
  bool inside = false;
  each_character(text, [&](std::uint32_t c) {
    inside ? append_lower(out, c) : append_upper(out, c);
    inside = is_cased(c);
  });
  return out;
}

std::string python_capitalize(std::string_view text) {
  if (text.empty()) return {};
  const std::size_t first = code_point_at(text, 0).length;
  return with_case(text.substr(0, first), LetterCase::kUpper) +
         with_case(text.substr(first), LetterCase::kLower);
}

std::string python_repr(std::string_view text) {
  const bool single_inside = text.find('\'') != std::string_view::npos;
  const char quote = single_inside && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  each_character(text, [&](std::uint32_t c) {
    if (c == static_cast<unsigned char>(quote) || c == '\\') out += '\\';
    if (is_printable(c))
      append_utf8(out, c);
    else
      append_unprintable(out, c);
  });
  return out + quote;
}

std::string python_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer{};
  const auto result =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string_view shortest(buffer.data(), static_cast<std::size_t>(result.ptr - buffer.data()));
  const std::size_t e = shortest.find('e');
  const int exponent = std::atoi(std::string(shortest.substr(e + 1)).c_str());
  constexpr int kSmallest = -4, kLargest = 16;  // float.__repr__ writes plain digits in between
  if (exponent < kSmallest || exponent >= kLargest) return std::string(shortest);
  const auto plain =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  std::string text(buffer.data(), plain.ptr);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace graft
