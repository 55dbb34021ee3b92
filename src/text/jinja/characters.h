#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Python's str.isspace for one character.
bool is_python_space(std::uint32_t character);
/// Bytes of the white space at the start (at the end) of valid UTF-8, as str.lstrip (str.rstrip) takes it.
std::size_t leading_space(std::string_view text);
std::size_t trailing_space(std::string_view text);

/// Number of characters of valid UTF-8.
std::int64_t count_characters(std::string_view text);
/// Byte at which each character begins, and the size at the end.
std::vector<std::size_t> character_starts(std::string_view text);

enum class LetterCase { kLower, kUpper };
/// str.lower and str.upper with the simple mappings of Unicode, and "SS" for the capital of "ß".
std::string with_case(std::string_view text, LetterCase letter_case);
/// str.title: words are runs of letters.
std::string python_title(std::string_view text);
/// str.capitalize.
std::string python_capitalize(std::string_view text);

/// repr() of a string: in single quotes unless only those are inside, unprintable characters escaped.
std::string python_repr(std::string_view text);
/// repr() of a float: the shortest digits that read back, "1e+16" from 16 digits on, "nan", "inf".
std::string python_repr(double value);

}  // namespace graft
