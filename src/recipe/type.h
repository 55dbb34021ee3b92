#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "recipe/scalar.h"
#include "recipe/yaml.h"

namespace graft {

/// All that the recipe knows of one type of value: how it is read from YAML, written, and described. Types
/// compose: a list of records of choices is a Type too, and so is the whole recipe.
template <class T>
struct Type {
  /// Sets from the YAML what the YAML says and leaves the rest. `path` names the key in errors.
  std::function<void(const YamlNode&, const std::string& path, T&)> read;
  std::function<Json(const T&)> write;
  Json schema;  ///< JSON Schema, draft 2020-12
};

Type<std::int64_t> integer(const Range& range);
/// As integer(range), or the word "auto", which is 0.
Type<std::int64_t> integer_or_auto(const Range& range);
Type<std::uint64_t> unsigned_integer();
Type<double> number(const Range& range);
Type<bool> boolean();
Type<std::string> text();
Type<std::string> path_text();

/// What choice() says where no choice fits.
[[noreturn]] void fail_choice(const YamlNode& node, const std::string& path,
                              const std::vector<std::string>& words, const std::vector<std::string>& later);
/// The schema of a choice, words for humans included.
Json choice_schema(const std::vector<std::string>& words);

/// One of several words; the first word of a value is the one that is written. `later` words are refused as
/// "not yet".
template <class Value>
Type<Value> choice(std::vector<std::pair<std::string, Value>> rows, std::vector<std::string> later = {}) {
  std::vector<std::string> words;
  for (const auto& row : rows) words.push_back(row.first);
  Type<Value> type;
  type.schema = choice_schema(words);
  type.read = [rows, words, later](const YamlNode& node, const std::string& path, Value& value) {
    for (const auto& [word, meaning] : rows) {
      if (node.kind != YamlKind::kScalar || node.text != word) continue;
      value = meaning;
      return;
    }
    fail_choice(node, path, words, later);
  };
  type.write = [rows](const Value& value) -> Json {
    for (const auto& [word, meaning] : rows) {
      if (meaning == value) return word;
    }
    return nullptr;
  };
  return type;
}

/// A list; it replaces what was there.
template <class T>
Type<std::vector<T>> list_of(Type<T> item) {
  Type<std::vector<T>> type;
  type.schema = {{"type", "array"}, {"items", item.schema}};
  type.read = [item](const YamlNode& node, const std::string& path, std::vector<T>& values) {
    if (node.kind != YamlKind::kList) fail_at(node.place, path, "wrong type", describe(node), "a list");
    values.clear();
    for (const YamlNode& element : node.items) {
      const std::string place = path + "[" + std::to_string(values.size()) + "]";
      values.emplace_back();
      item.read(element, place, values.back());
    }
  };
  type.write = [item](const std::vector<T>& values) {
    Json result = Json::array();
    for (const T& value : values) result.push_back(item.write(value));
    return result;
  };
  return type;
}

/// Refuses a key that the record at `section` ("" = the top) does not have: the name it has here where
/// another tool calls it so, the section it belongs to, or the nearest of `keys`.
[[noreturn]] void fail_unknown_key(const YamlEntry& entry, const std::string& section,
                                   const std::vector<std::string>& keys);
/// Accepts only what equals `only`: the one value that a later feature has when it is off.
void read_only_value(const YamlNode& node, const std::string& path, const Json& only);

/// A map whose keys are members of a struct, each declared once with its type and one line for the reader.
template <class Owner>
class Record {
 public:
  template <class T>
  Record key(std::string name, T Owner::*member, Type<T> type, const std::string& doc) && {
    Type<Owner> whole;
    whole.schema = std::move(type.schema);
    whole.read = [member, read = type.read](const YamlNode& node, const std::string& path, Owner& owner) {
      read(node, path, owner.*member);
    };
    whole.write = [member, write = type.write](const Owner& owner) { return write(owner.*member); };
    return std::move(*this).part(std::move(name), std::move(whole), doc);
  }

  /// A key that is spread over several members.
  Record part(std::string name, Type<Owner> type, const std::string& doc) && {
    type.schema["description"] = doc;
    keys_.push_back({std::move(name), std::move(type)});
    return std::move(*this);
  }

  /// A key of a later feature: known, and refused as "not yet" unless it has the value that means "off".
  Record later(std::string name, const Json& only, const std::string& doc) && {
    Type<Owner> type;
    type.schema = {{"const", only}};
    type.read = [only](const YamlNode& node, const std::string& path, Owner&) {
      read_only_value(node, path, only);
    };
    type.write = [only](const Owner&) { return only; };
    return std::move(*this).part(std::move(name), std::move(type), doc + " (other values: not yet)");
  }

  Type<Owner> type() && {
    Type<Owner> type;
    type.schema = {{"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};
    for (const Key& key : keys_) type.schema["properties"][key.name] = key.type.schema;
    type.write = [keys = keys_](const Owner& owner) {
      Json result = Json::object();
      for (const Key& key : keys) result[key.name] = key.type.write(owner);
      return result;
    };
    type.read = [keys = std::move(keys_)](const YamlNode& node, const std::string& path, Owner& owner) {
      if (node.kind == YamlKind::kNull) return;  // a section whose keys are all commented out
      if (node.kind != YamlKind::kMap)
        fail_at(node.place, path, "wrong type", describe(node), "a map of keys");
      for (const YamlEntry& entry : node.entries) {
        const Key& key = find(keys, entry, path);
        key.type.read(entry.value, path.empty() ? entry.key : path + "." + entry.key, owner);
      }
    };
    return type;
  }

 private:
  struct Key {
    std::string name;
    Type<Owner> type;
  };

  static const Key& find(const std::vector<Key>& keys, const YamlEntry& entry, const std::string& path) {
    std::vector<std::string> names;
    for (const Key& key : keys) {
      if (key.name == entry.key) return key;
      names.push_back(key.name);
    }
    fail_unknown_key(entry, path, names);
  }

  std::vector<Key> keys_;
};

}  // namespace graft
