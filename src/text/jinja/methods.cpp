#include <algorithm>
#include <array>

#include "text/jinja/library.h"

// Methods of lists, tuples and dicts, and attributes of everything.

namespace graft {
namespace {

using Args = JinjaArguments;
using Value = JinjaValue;
using Runtime = JinjaRuntime;
using Kind = JinjaSequence::Kind;
using Values = std::vector<Value>;

Value get(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "get", arguments, {"key", "default"});
  if (bound[0] == nullptr) runtime.fail("get: want a key");
  if (!is_hashable(*bound[0])) runtime.fail("unhashable type: '", bound[0]->type_name(), "'");
  runtime.charge(value.dict()->members.size());
  const Value* found = value.dict()->find(*bound[0]);
  return found ? *found : bound[1] ? *bound[1] : Value();
}

Value view(Runtime& runtime, const Value& value, Kind kind) {
  const auto& members = value.dict()->members;
  runtime.charge(64 * members.size());
  auto result = std::make_shared<JinjaSequence>();
  result->kind = kind;
  for (const auto& [key, member] : members)
    result->items.push_back(kind == Kind::kKeys     ? key
                            : kind == Kind::kValues ? member
                                                    : Value::tuple({key, member}));
  result->depth = value.depth() + 1;
  result->weight = value.weight();
  return Value(std::shared_ptr<const JinjaSequence>(std::move(result)));
}

Value items(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "items", arguments, {});
  return view(runtime, value, Kind::kItems);
}
Value keys(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "keys", arguments, {});
  return view(runtime, value, Kind::kKeys);
}
Value values(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "values", arguments, {});
  return view(runtime, value, Kind::kValues);
}

Value copy(Runtime&, const Value& value, const Args&) { return value; }  // nothing can change it

Value index(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "index", arguments, {"value"});
  if (bound[0] == nullptr) runtime.fail("index: want a value");
  runtime.charge(value.weight());
  const Values& list = value.sequence()->items;
  const auto found =
      std::ranges::find_if(list, [&](const Value& item) { return jinja_equal(item, *bound[0]); });
  if (found == list.end()) runtime.fail("the value is not in the list");
  return static_cast<std::int64_t>(found - list.begin());
}

Value count(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "count", arguments, {"value"});
  if (bound[0] == nullptr) runtime.fail("count: want a value");
  runtime.charge(value.weight());
  return static_cast<std::int64_t>(std::ranges::count_if(
      value.sequence()->items, [&](const Value& item) { return jinja_equal(item, *bound[0]); }));
}

constexpr std::array<JinjaNamed<JinjaMethod>, 5> kDictMethods = {
    {{"get", get}, {"items", items}, {"keys", keys}, {"values", values}, {"copy", copy}}};
constexpr std::array<JinjaNamed<JinjaMethod>, 3> kListMethods = {
    {{"index", index}, {"count", count}, {"copy", copy}}};

JinjaMethod find(std::span<const JinjaNamed<JinjaMethod>> rows, std::string_view name) {
  const auto found = std::ranges::find(rows, name, &JinjaNamed<JinjaMethod>::name);
  return found == rows.end() ? nullptr : found->function;
}

// What would change a list or dict: hidden in an immutable sandbox.
bool is_hidden(const Value& value, std::string_view name) {
  static constexpr std::array<std::string_view, 8> kList = {"append", "clear", "pop",    "reverse",
                                                            "insert", "sort",  "extend", "remove"};
  static constexpr std::array<std::string_view, 5> kDict = {"clear", "pop", "popitem", "setdefault",
                                                            "update"};
  if (value.dict() != nullptr) return std::ranges::find(kDict, name) != kDict.end();
  const JinjaSequence* sequence = value.sequence();
  return sequence != nullptr && sequence->kind == Kind::kList &&
         std::ranges::find(kList, name) != kList.end();
}

}  // namespace

JinjaMethod find_jinja_method(const JinjaValue& value, std::string_view name) {
  if (value.is_string()) return find_text_method(name);
  if (value.dict() != nullptr) return find(kDictMethods, name);
  const JinjaSequence* sequence = value.sequence();
  const bool listed =
      sequence != nullptr && (sequence->kind == Kind::kList || sequence->kind == Kind::kTuple);
  return listed ? find(kListMethods, name) : nullptr;
}

std::optional<JinjaValue> library_attribute(JinjaRuntime& runtime, const JinjaValue& value,
                                            const std::string& name) {
  if (const JinjaNamespace* members = value.name_space()) {
    const JinjaValue* found = members->find(name);
    return found ? std::optional(*found) : std::nullopt;
  }
  if (const JinjaObject* object = value.object())
    return object->attribute ? object->attribute(name) : std::nullopt;
  if (is_hidden(value, name))
    return Value::undefined("access to attribute '" + name + "' of '" + std::string(value.type_name()) +
                            "' object is unsafe: a chat template cannot change a value");
  const JinjaMethod method = find_jinja_method(value, name);
  if (method == nullptr) return std::nullopt;
  auto bound = std::make_shared<JinjaObject>();
  bound->type = "builtin_function_or_method";
  bound->depth = value.depth() + 1;
  bound->call = [&runtime, value, method](const JinjaArguments& arguments) {
    runtime.charge_text(value);
    return method(runtime, value, arguments);
  };
  return Value(std::move(bound));
}

}  // namespace graft
