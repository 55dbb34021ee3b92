#include <algorithm>
#include <array>
#include <cmath>

#include "text/jinja/characters.h"
#include "text/jinja/library.h"

// Filters of any value and of numbers. Source: jinja2/filters.py; tojson: transformers,
// utils/chat_template_utils.py.

namespace graft {
namespace {

using Args = JinjaArguments;
using Value = JinjaValue;
using Runtime = JinjaRuntime;

Value default_value(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "default", arguments, {"default_value", "boolean"});
  const bool use_truth = bound[1] != nullptr && bound[1]->truth();
  if (!value.is_undefined() && !(use_truth && !value.truth())) return value;
  return bound[0] ? *bound[0] : Value("");
}

Value length(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "length", arguments, {});
  return runtime.length(value);
}

// An indent as json.dumps takes it: a number of spaces or a string; None is one line.
std::optional<std::string> json_indent(Runtime& runtime, const Value& indent) {
  if (indent.is_none()) return std::nullopt;
  if (indent.is_string()) return indent.as_string();
  constexpr std::int64_t kMaxIndent = 64;
  const std::int64_t width = runtime.want_integer(indent, "indent");
  if (width > kMaxIndent) runtime.fail("indent: got ", width, ", want at most ", kMaxIndent);
  return std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
}

Value to_json(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound =
      bind_arguments(runtime, "tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JinjaJsonStyle style;
  style.ensure_ascii = bound[0] != nullptr && bound[0]->truth();
  if (bound[1] != nullptr) style.indent = json_indent(runtime, *bound[1]);
  if (style.indent) style.item_separator = ",";
  if (bound[2] != nullptr && !bound[2]->is_none()) {
    const std::vector<Value> pair = runtime.items(*bound[2]);
    if (pair.size() != 2) runtime.fail("separators: want two");
    style.item_separator = runtime.want_string(pair[0], "separators");
    style.key_separator = runtime.want_string(pair[1], "separators");
  }
  style.sort_keys = bound[3] != nullptr && bound[3]->truth();
  return jinja_json(runtime, value, style);
}

Value attribute(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "attr", arguments, {"name"});
  if (bound[0] == nullptr) runtime.fail("attr: want a name");
  const std::string& name = runtime.want_string(*bound[0], "attr");
  if (const auto found = library_attribute(runtime, value, name)) return *found;
  return Value::undefined("'" + std::string(value.type_name()) + " object' has no attribute '" + name + "'");
}

// int(text, base) for whole numbers, white space and one sign and single underscores allowed.
std::optional<std::int64_t> parse_integer(std::string text, std::int64_t base) {
  text = text.substr(leading_space(text));
  text.resize(text.size() - trailing_space(text));
  std::size_t i = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  const bool negative = i == 1 && text[0] == '-';
  static constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  const char letter = text.size() > i + 1 && text[i] == '0' ? lower(text[i + 1]) : ' ';
  if ((base == 16 && letter == 'x') || (base == 8 && letter == 'o') || (base == 2 && letter == 'b')) i += 2;
  if (i >= text.size()) return std::nullopt;
  std::int64_t value = 0;
  for (; i < text.size(); ++i) {
    const bool between = text[i] == '_' && i > 0 && text[i - 1] != '_' && i + 1 < text.size() &&
                         kDigits.find(lower(text[i - 1])) != kDigits.npos;
    if (between) continue;
    const std::size_t digit = kDigits.find(lower(text[i]));
    if (digit == kDigits.npos || static_cast<std::int64_t>(digit) >= base) return std::nullopt;
    if (__builtin_mul_overflow(value, base, &value) ||
        __builtin_add_overflow(value, static_cast<std::int64_t>(digit), &value))
      return std::nullopt;
  }
  return negative ? -value : value;
}

std::optional<double> parse_float(std::string text) {
  text = text.substr(leading_space(text));
  text.resize(text.size() - trailing_space(text));
  if (text.empty() || text.find_first_of("xXpP") != text.npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return end == text.c_str() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> whole_part(double value) {
  constexpr double kLimit = 9.2e18;
  return std::abs(value) < kLimit ? std::optional(static_cast<std::int64_t>(value)) : std::nullopt;
}

Value to_integer(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "int", arguments, {"default", "base"});
  runtime.want_defined(value);
  runtime.charge_text(value);
  const Value otherwise = bound[0] ? *bound[0] : Value(std::int64_t{0});
  std::optional<std::int64_t> result = value.integer();
  if (value.is_float()) result = whole_part(value.as_float());
  if (value.is_string()) {
    const std::int64_t base = bound[1] ? runtime.want_integer(*bound[1], "base") : 10;
    if (base < 2 || base > 36) runtime.fail("base: got ", base, ", want 2 to 36");
    result = parse_integer(value.as_string(), base);
    if (const auto number = result ? std::nullopt : parse_float(value.as_string()))
      result = whole_part(*number);
  }
  return result ? Value(*result) : otherwise;
}

Value to_float(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "float", arguments, {"default"});
  runtime.want_defined(value);
  runtime.charge_text(value);
  const auto result = value.is_string() ? parse_float(value.as_string()) : value.number();
  return result ? Value(*result) : bound[0] ? *bound[0] : Value(0.0);
}

Value absolute(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "abs", arguments, {});
  runtime.want_defined(value);
  const auto number = value.number();
  if (!number) runtime.fail("abs: got a ", value.type_name(), ", want a number");
  if (value.is_float()) return std::abs(value.as_float());
  return *value.integer() < 0 ? jinja_negative(runtime, value) : Value(*value.integer());
}

Value rounded(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "round", arguments, {"precision", "method"});
  runtime.want_defined(value);
  const auto number = value.number();
  if (!number) runtime.fail("round: got a ", value.type_name(), ", want a number");
  const std::int64_t precision = bound[0] ? runtime.want_integer(*bound[0], "precision") : 0;
  const std::string method = bound[1] ? runtime.want_string(*bound[1], "method") : "common";
  constexpr std::int64_t kMaxPrecision = 15;
  if (std::abs(precision) > kMaxPrecision) runtime.fail("precision: got ", precision, ", want -15 to 15");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return std::ceil(*number * scale) / scale;
  if (method == "floor") return std::floor(*number * scale) / scale;
  if (method != "common") runtime.fail("method: want common, ceil or floor");
  // round() of an integer is an integer; ties go to the even neighbour of what is really stored.
  if (value.integer()) {
    if (precision >= 0) return Value(*value.integer());
    return static_cast<std::int64_t>(std::nearbyint(*number * scale) / scale);
  }
  if (precision == 0) return std::nearbyint(*number);
  if (precision < 0) return std::nearbyint(*number * scale) / scale;
  char digits[512];
  std::snprintf(digits, sizeof digits, "%.*f", static_cast<int>(precision), *number);
  return std::strtod(digits, nullptr);
}

constexpr std::array<JinjaNamed<JinjaFilter>, 10> kFilters = {{{"default", default_value},
                                                               {"d", default_value},
                                                               {"length", length},
                                                               {"count", length},
                                                               {"tojson", to_json},
                                                               {"attr", attribute},
                                                               {"int", to_integer},
                                                               {"float", to_float},
                                                               {"abs", absolute},
                                                               {"round", rounded}}};

}  // namespace

std::span<const JinjaNamed<JinjaFilter>> jinja_value_filters() { return kFilters; }

JinjaFilter find_jinja_filter(std::string_view name) {
  for (const auto rows : {jinja_text_filters(), jinja_sequence_filters(), jinja_value_filters()}) {
    const auto found = std::ranges::find(rows, name, &JinjaNamed<JinjaFilter>::name);
    if (found != rows.end()) return found->function;
  }
  return nullptr;
}

}  // namespace graft
