#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "recipe/yaml.h"

namespace graft {

/// Throws the recipe room's one form of message: `place: key.path: what (got X, want Y)`. kUsage.
[[noreturn]] void fail_at(const Place& place, const std::string& path, const std::string& what,
                          const std::string& got, const std::string& want, const std::string& hint = "");

/// What stands in the file, in the words of a message: `"16" in quotes`, `a list`, `nothing`.
std::string describe(const YamlNode& node);

/// The numbers of a recipe: `3`, `2e-4`, `1.5`, `2k` (thousands), `1M` (millions). Not `010`, `0x10`, `.inf`,
/// `1_000`. Nothing where the word is none of them, or too large.
std::optional<double> parse_number(std::string_view word);
/// The same where it is a whole number written without a fraction: `3`, `1e3`, `2k`, `1.5k`; not `3.0`.
std::optional<std::int64_t> parse_integer(std::string_view word);
/// True for a bare word that some YAML reader takes for something else than text: numbers, true, yes, null,
/// 010, .inf.
bool reads_as_other_type(std::string_view word);

/// A text as YAML writes it: a bare word where every YAML reader takes it for this text, else in double
/// quotes.
std::string yaml_scalar(const std::string& text);

/// The values that a number may have.
struct Range {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
  bool low_excluded = false, high_excluded = false;
  bool contains(double value) const;
  /// "from 1", "above 0", "from 0 to 1", "from 0 to below 1"; empty where everything is allowed.
  std::string text() const;
};
constexpr Range from(double low) { return {.low = low}; }
constexpr Range above(double low) { return {.low = low, .low_excluded = true}; }
constexpr Range between(double low, double high) { return {.low = low, .high = high}; }
/// low <= value < high
constexpr Range from_to_below(double low, double high) {
  return {.low = low, .high = high, .high_excluded = true};
}

/// The node's value as the key `path` wants it. Errors as fail_at.
std::int64_t read_integer(const YamlNode& node, const std::string& path, const Range& range);
std::uint64_t read_unsigned(const YamlNode& node, const std::string& path);
double read_number(const YamlNode& node, const std::string& path, const Range& range);
bool read_boolean(const YamlNode& node, const std::string& path);
std::string read_text(const YamlNode& node, const std::string& path);
/// Text, made absolute against the folder of the file it stands in; empty stays empty.
std::string read_path(const YamlNode& node, const std::string& path);

}  // namespace graft
