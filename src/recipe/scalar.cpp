#include "recipe/scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace graft {
namespace {

/// Doubles hold every integer up to here exactly.
constexpr double kExactIntegers = 9007199254740992.0;
/// Counts beyond this are typing errors; no key needs more than 32 bits.
constexpr double kLargestInteger = 2147483647.0;

std::string shortest(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end};
}

/// A decimal number in the grammar of parse_number, taken apart.
struct Decimal {
  std::string text;  ///< for from_chars: no plus sign, a suffix turned into an exponent
  bool plain;        ///< digits only
  bool fraction;     ///< has a point and no suffix
};

std::size_t count_digits(std::string_view word, std::size_t from) {
  std::size_t end = from;
  while (end < word.size() && word[end] >= '0' && word[end] <= '9') ++end;
  return end - from;
}

/// The exponent at `at` ("e-4", "k", "M") as "e…"; nothing where the rest is no exponent.
std::optional<std::string> parse_exponent(std::string_view word, std::size_t at) {
  if (at == word.size()) return "";
  if (at + 1 == word.size() && word[at] == 'k') return "e3";
  if (at + 1 == word.size() && word[at] == 'M') return "e6";
  if (word[at] != 'e' && word[at] != 'E') return std::nullopt;
  std::size_t digits = at + 1;
  if (digits < word.size() && (word[digits] == '+' || word[digits] == '-')) ++digits;
  const std::size_t count = count_digits(word, digits);
  if (count == 0 || digits + count != word.size()) return std::nullopt;
  return (word[digits - 1] == '-' ? "e-" : "e") + std::string(word.substr(digits));
}

std::optional<Decimal> parse_decimal(std::string_view word) {
  std::size_t at = !word.empty() && (word[0] == '-' || word[0] == '+') ? 1 : 0;
  std::string text = word.starts_with('-') ? "-" : "";
  const std::size_t whole = count_digits(word, at);
  if (whole > 1 && word[at] == '0') return std::nullopt;  // octal to some readers
  text += word.substr(at, whole);
  at += whole;
  std::size_t decimals = 0;
  const bool point = at < word.size() && word[at] == '.';
  if (point) {
    decimals = count_digits(word, at + 1);
    text += word.substr(at, 1 + decimals);
    at += 1 + decimals;
  }
  if (whole + decimals == 0) return std::nullopt;
  const auto exponent = parse_exponent(word, at);
  if (!exponent) return std::nullopt;
  const bool suffix = word.back() == 'k' || word.back() == 'M';
  return Decimal{text + *exponent, !point && exponent->empty(), point && !suffix};
}

std::string want_number(const char* kind, const Range& range) {
  const std::string limits = range.text();
  return limits.empty() ? kind : std::string(kind) + " " + limits;
}

[[noreturn]] void fail_number(const YamlNode& node, const std::string& path, const std::string& want) {
  const auto decimal =
      node.kind == YamlKind::kScalar && !node.quoted ? parse_decimal(node.text) : std::nullopt;
  if (decimal && !decimal->fraction) fail_at(node.place, path, "out of range", describe(node), want);
  const bool quoted_number = node.kind == YamlKind::kScalar && node.quoted && parse_number(node.text);
  std::string hint = quoted_number ? "remove the quotes" : "";
  if (node.kind == YamlKind::kScalar && !node.quoted && node.text.size() > 1 && node.text[0] == '0' &&
      count_digits(node.text, 0) == node.text.size()) {
    hint = "a leading zero means octal to some programs; write the number without it";
  }
  fail_at(node.place, path, "wrong type", describe(node), want, hint);
}

void check_range(const YamlNode& node, const std::string& path, double value, const char* kind,
                 const Range& range) {
  if (!range.contains(value)) fail_at(node.place, path, "out of range", node.text, want_number(kind, range));
}

}  // namespace

void fail_at(const Place& place, const std::string& path, const std::string& what, const std::string& got,
             const std::string& want, const std::string& hint) {
  fail(ExitCode::kUsage, place.text(), ": ", path.empty() ? "" : path + ": ", what, " (got ", got, ", want ",
       want, ")", Hint{hint});
}

std::string describe(const YamlNode& node) {
  constexpr std::size_t kShown = 60;
  switch (node.kind) {
    case YamlKind::kNull:
      return "nothing";
    case YamlKind::kList:
      return "a list";
    case YamlKind::kMap:
      return "a map";
    case YamlKind::kScalar:
      break;
  }
  if (node.quoted) return "\"" + printable(node.text, kShown) + "\" in quotes";
  return printable(node.text, kShown);
}

std::optional<double> parse_number(std::string_view word) {
  const auto decimal = parse_decimal(word);
  if (!decimal) return std::nullopt;
  double value = 0;
  const std::string& text = decimal->text;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_integer(std::string_view word) {
  const auto decimal = parse_decimal(word);
  if (!decimal || decimal->fraction) return std::nullopt;
  if (decimal->plain) {
    std::int64_t value = 0;
    const std::string& text = decimal->text;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
  }
  const auto value = parse_number(word);
  if (!value || std::abs(*value) > kExactIntegers || *value != std::floor(*value)) return std::nullopt;
  return static_cast<std::int64_t>(*value);
}

bool reads_as_other_type(std::string_view word) {
  std::string lower(word);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  for (const char* reserved : {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "~", ".nan",
                               ".inf", "-.inf", "+.inf", ""}) {
    if (lower == reserved) return true;
  }
  // every word that is made like a number: 010, 1_000, 0x1f, 12:30, 1e999
  const std::size_t sign = lower[0] == '-' || lower[0] == '+' ? 1 : 0;
  if (parse_decimal(word)) return true;
  const bool digit_first = sign < lower.size() && lower[sign] >= '0' && lower[sign] <= '9';
  return digit_first && lower.find_first_not_of("0123456789abcdefox_:.+-") == lower.npos &&
         (lower.starts_with("0x") || lower.starts_with("0o") ||
          lower.find_first_of("abcdefox-") == lower.npos);
}

std::string yaml_scalar(const std::string& text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' || c == '_';
  };
  const auto inside = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+';
  };
  const bool path = text.starts_with("../") || text.starts_with("./");
  const bool bare =
      !text.empty() && (letter(text.front()) || path) && std::all_of(text.begin(), text.end(), inside);
  if (bare && !reads_as_other_type(text)) return text;
  std::string quoted;
  // recipes hold no raw control character, and JSON leaves this one as it is
  for (const char c : to_text(Json(text))) quoted += c == 0x7F ? std::string("\\u007f") : std::string(1, c);
  return quoted;
}

bool Range::contains(double value) const {
  return (low_excluded ? value > low : value >= low) && (high_excluded ? value < high : value <= high);
}

std::string Range::text() const {
  std::string result;
  if (std::isfinite(low)) result = (low_excluded ? "above " : "from ") + shortest(low);
  if (std::isfinite(high))
    result += (result.empty() ? "" : " ") + std::string(high_excluded ? "to below " : "to ") + shortest(high);
  return result;
}

std::int64_t read_integer(const YamlNode& node, const std::string& path, const Range& range) {
  const bool word = node.kind == YamlKind::kScalar && !node.quoted;
  const auto value = word ? parse_integer(node.text) : std::nullopt;
  if (!value) fail_number(node, path, want_number("an integer", range));
  Range limits = range;
  if (static_cast<double>(*value) > kLargestInteger) limits.high = std::min(range.high, kLargestInteger);
  check_range(node, path, static_cast<double>(*value), "an integer", limits);
  return *value;
}

std::uint64_t read_unsigned(const YamlNode& node, const std::string& path) {
  std::uint64_t value = 0;
  const bool word = node.kind == YamlKind::kScalar && !node.quoted;
  if (const auto decimal = word ? parse_decimal(node.text) : std::nullopt; decimal && decimal->plain) {
    const std::string& text = decimal->text;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc{} && end == text.data() + text.size()) return value;
  }
  return static_cast<std::uint64_t>(read_integer(node, path, from(0)));
}

double read_number(const YamlNode& node, const std::string& path, const Range& range) {
  const bool word = node.kind == YamlKind::kScalar && !node.quoted;
  const auto value = word ? parse_number(node.text) : std::nullopt;
  if (!value) fail_number(node, path, want_number("a number", range));
  check_range(node, path, *value, "a number", range);
  return *value;
}

bool read_boolean(const YamlNode& node, const std::string& path) {
  if (node.kind == YamlKind::kScalar && !node.quoted) {
    for (const char* word : {"true", "True", "TRUE"}) {
      if (node.text == word) return true;
    }
    for (const char* word : {"false", "False", "FALSE"}) {
      if (node.text == word) return false;
    }
  }
  fail_at(node.place, path, "wrong type", describe(node), "true or false");
}

std::string read_text(const YamlNode& node, const std::string& path) {
  if (node.kind != YamlKind::kScalar) fail_at(node.place, path, "wrong type", describe(node), "a text");
  if (!node.quoted && reads_as_other_type(node.text)) {
    fail_at(node.place, path, "wrong type", describe(node), "a text",
            "put it in quotes if it is meant as text");
  }
  return node.text;
}

std::string read_path(const YamlNode& node, const std::string& path) {
  const std::string text = read_text(node, path);
  if (text.empty()) return text;
  return std::filesystem::absolute(node.place.source->folder / text).lexically_normal().string();
}

}  // namespace graft
