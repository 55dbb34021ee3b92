#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace graft {

/// JSON as a value that keeps the order of keys.
using Json = nlohmann::ordered_json;

/// What strict parsing accepts.
struct JsonLimits {
  std::size_t max_bytes = std::size_t{64} << 20;
  int max_depth = 64;
};

/// The one JSON document in `text`. `source` names it in errors ("file" or "file:line").
/// Strict: valid UTF-8 (a BOM at the start is skipped), no duplicate keys, nothing after the document, no
/// NaN; errors say `source:line:column` (a source that ends in a line number, "rows.jsonl:17", gets the
/// column only).
Json parse_json(std::string_view text, std::string_view source, const JsonLimits& limits = {});
/// The document in a file.
Json read_json(const Path& path, const JsonLimits& limits = {});

/// A place inside a parsed document, with typed getters whose errors name source and JSON pointer:
/// `config.json: /num_hidden_layers: got a string, want an integer`. Refers to a Json that must outlive it.
class JsonView {
 public:
  JsonView(const Json& value, std::string source, std::string pointer = "");

  const Json& json() const { return *value_; }
  /// "source: pointer", the start of an error message about this place.
  std::string where() const;

  bool is_null() const { return value_->is_null(); }
  bool is_string() const { return value_->is_string(); }
  bool is_object() const { return value_->is_object(); }
  bool is_array() const { return value_->is_array(); }
  bool is_number() const { return value_->is_number(); }
  bool is_boolean() const { return value_->is_boolean(); }

  /// The member `key`; Error where this is no object or lacks it.
  JsonView at(std::string_view key) const;
  /// The member `key`, or nothing where it is absent or null.
  std::optional<JsonView> find(std::string_view key) const;
  /// Element `index` of an array.
  JsonView at(std::size_t index) const;
  /// Number of elements of an array or members of an object.
  std::size_t size() const;
  /// Calls `visit(key, member)` in file order. Error where this is no object.
  void each_member(const std::function<void(const std::string&, const JsonView&)>& visit) const;
  /// Calls `visit(element)` in order. Error where this is no array.
  void each_element(const std::function<void(const JsonView&)>& visit) const;

  const std::string& as_string() const;
  bool as_bool() const;
  /// An integer (3.0 is none) within [low, high].
  std::int64_t as_int(std::int64_t low = INT64_MIN, std::int64_t high = INT64_MAX) const;
  /// A finite number.
  double as_double() const;

 private:
  JsonView(const Json& value, const JsonView& parent, std::string_view key);

  const Json* value_;
  std::shared_ptr<const std::string> source_;
  std::string pointer_;
};

/// Writes where(): a view can stand in the parts of check() at no cost where the check holds.
std::ostream& operator<<(std::ostream& out, const JsonView& view);

/// Compact JSON text: non-ASCII kept, invalid UTF-8 replaced; doubles round-trip.
std::string to_text(const Json& value, int indent = -1);

}  // namespace graft
