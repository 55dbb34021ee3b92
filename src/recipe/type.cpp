#include "recipe/type.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

Json range_schema(const char* kind, const Range& range) {
  Json schema = {{"type", kind}};
  if (std::isfinite(range.low)) schema[range.low_excluded ? "exclusiveMinimum" : "minimum"] = range.low;
  if (std::isfinite(range.high)) schema[range.high_excluded ? "exclusiveMaximum" : "maximum"] = range.high;
  return schema;
}

template <class T, class Read>
Type<T> simple(Json schema, Read read) {
  return {
      .read = [read](const YamlNode& node, const std::string& path, T& value) { value = read(node, path); },
      .write = [](const T& value) -> Json { return value; },
      .schema = std::move(schema)};
}

/// The node as JSON, for the comparison with a value written in our own table.
bool equals(const YamlNode& node, const Json& value) {
  if (value.is_object()) return node.kind == YamlKind::kMap && node.entries.empty() && value.empty();
  if (value.is_array()) return node.kind == YamlKind::kList && node.items.empty() && value.empty();
  if (node.kind != YamlKind::kScalar) return false;
  if (value.is_string()) return node.text == value.get<std::string>();
  if (node.quoted) return false;
  if (value.is_boolean()) return node.text == (value.get<bool>() ? "true" : "false");
  return parse_number(node.text) == value.get<double>();
}

}  // namespace

Type<std::int64_t> integer(const Range& range) {
  return simple<std::int64_t>(
      range_schema("integer", range),
      [range](const YamlNode& node, const std::string& path) { return read_integer(node, path, range); });
}

Type<std::int64_t> integer_or_auto(const Range& range) {
  Type<std::int64_t> type = integer(range);
  type.schema = {{"oneOf", {Json{{"const", "auto"}}, type.schema}}};
  type.read = [range](const YamlNode& node, const std::string& path, std::int64_t& value) {
    const bool automatic = node.kind == YamlKind::kScalar && node.text == "auto";
    value = automatic ? 0 : read_integer(node, path, range);
  };
  type.write = [](const std::int64_t& value) -> Json { return value == 0 ? Json("auto") : Json(value); };
  return type;
}

Type<std::uint64_t> unsigned_integer() {
  return simple<std::uint64_t>(range_schema("integer", from(0)), read_unsigned);
}

Type<double> number(const Range& range) {
  return simple<double>(
      range_schema("number", range),
      [range](const YamlNode& node, const std::string& path) { return read_number(node, path, range); });
}

Type<bool> boolean() { return simple<bool>({{"type", "boolean"}}, read_boolean); }
Type<std::string> text() { return simple<std::string>({{"type", "string"}}, read_text); }
Type<std::string> path_text() { return simple<std::string>({{"type", "string"}}, read_path); }

Json choice_schema(const std::vector<std::string>& words) { return {{"enum", words}}; }

void fail_choice(const YamlNode& node, const std::string& path, const std::vector<std::string>& words,
                 const std::vector<std::string>& later) {
  const std::string want = join(words, " | ");
  if (node.kind == YamlKind::kScalar && std::find(later.begin(), later.end(), node.text) != later.end()) {
    fail_at(node.place, path, "not yet in this version of graft", node.text, want);
  }
  const auto near = node.kind == YamlKind::kScalar ? nearest(node.text, words) : std::nullopt;
  fail_at(node.place, path, node.kind == YamlKind::kScalar ? "unknown value" : "wrong type", describe(node),
          want, near ? "did you mean " + *near + "?" : "");
}

void read_only_value(const YamlNode& node, const std::string& path, const Json& only) {
  if (equals(node, only)) return;
  fail_at(node.place, path, "not yet in this version of graft", describe(node),
          only.is_string() ? only.get<std::string>() : to_text(only), "remove the key");
}

}  // namespace graft
