#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// Byte offset of the first byte that is not valid UTF-8 (RFC 3629: no surrogates, no overlong forms), or
/// nothing.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);
/// The code point that starts at `position` of valid UTF-8, and its length in bytes.
struct CodePoint {
  std::uint32_t value;
  std::size_t length;
};
CodePoint code_point_at(std::string_view text, std::size_t position);
/// How many Chinese characters (Han ideographs of all Unicode blocks, compatibility forms and 〇) valid UTF-8
/// holds.
std::int64_t count_chinese_characters(std::string_view text);
/// Appends `code_point` as UTF-8.
void append_utf8(std::string& text, std::uint32_t code_point);

/// The candidate nearest to `word` (edit distance, case folded), or nothing where none is near: for "did you
/// mean".
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// Control bytes as \xNN and length capped, so that a name from a file can stand in a message.
std::string printable(std::string_view text, std::size_t max_bytes = 200);

/// "1.3 GB", "742 kB" (powers of 1,000).
std::string format_bytes(std::uint64_t bytes);
/// "2h05m", "3m12s", "4.1s".
std::string format_seconds(double seconds);
/// "1,234,567".
std::string format_count(std::int64_t count);
std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string_view trim(std::string_view text);

}  // namespace graft
