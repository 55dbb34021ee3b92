#include "text/jinja/value.h"

#include <algorithm>

#include "text/jinja/characters.h"

namespace graft {
namespace {

using Kind = JinjaSequence::Kind;

// Adds a part to the depth and, short of overflow, the weight of what holds it.
void count_part(const JinjaValue& part, std::size_t& depth, std::size_t& weight) {
  constexpr std::size_t kMaxWeight = std::size_t{1} << 60;
  depth = std::max(depth, part.depth() + 1);
  weight = std::min(kMaxWeight, weight + part.weight());
}

JinjaValue sequence_of(Kind kind, std::vector<JinjaValue> items) {
  auto sequence = std::make_shared<JinjaSequence>();
  sequence->kind = kind;
  for (const JinjaValue& item : items) count_part(item, sequence->depth, sequence->weight);
  sequence->items = std::move(items);
  return JinjaValue(std::shared_ptr<const JinjaSequence>(std::move(sequence)));
}

bool same_items(const std::vector<JinjaValue>& left, const std::vector<JinjaValue>& right) {
  return std::ranges::equal(left, right, jinja_equal);
}

bool equal_sequences(const JinjaSequence& left, const JinjaSequence& right) {
  if (&left == &right) return true;
  if (left.kind != right.kind || left.kind == Kind::kGenerator || left.kind == Kind::kValues) return false;
  return same_items(left.items, right.items);
}

bool equal_dicts(const JinjaDict& left, const JinjaDict& right) {
  if (left.members.size() != right.members.size()) return false;
  return std::ranges::all_of(left.members, [&](const auto& member) {
    const JinjaValue* other = right.find(member.first);
    return other != nullptr && jinja_equal(member.second, *other);
  });
}

// The reprs of the items with ", " between.
bool append_items(std::string& out, const std::vector<JinjaValue>& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto text = jinja_repr(items[i]);
    if (!text) return false;
    if (i > 0) out += ", ";
    out += *text;
  }
  return true;
}

std::optional<std::string> repr_of_range(const JinjaSequence& range) {
  const auto at = [&](std::size_t i) { return *range.items[i].integer(); };
  const std::size_t size = range.items.size();
  const std::int64_t begin = size > 0 ? at(0) : 0, step = size > 1 ? at(1) - at(0) : 1;
  const std::int64_t end = size > 0 ? at(size - 1) + step : 0;
  return "range(" + std::to_string(begin) + ", " + std::to_string(end) +
         (step == 1 ? ")" : ", " + std::to_string(step) + ")");
}

std::optional<std::string> repr_of(const JinjaSequence& sequence) {
  if (sequence.kind == Kind::kGenerator) return std::nullopt;
  if (sequence.kind == Kind::kRange) return repr_of_range(sequence);
  std::string items;
  if (!append_items(items, sequence.items)) return std::nullopt;
  switch (sequence.kind) {
    case Kind::kTuple:
      return "(" + items + (sequence.items.size() == 1 ? ",)" : ")");
    case Kind::kKeys:
      return "dict_keys([" + items + "])";
    case Kind::kValues:
      return "dict_values([" + items + "])";
    case Kind::kItems:
      return "dict_items([" + items + "])";
    default:
      return "[" + items + "]";
  }
}

std::optional<std::string> repr_of(const JinjaDict& dict) {
  std::string out = "{";
  for (std::size_t i = 0; i < dict.members.size(); ++i) {
    const auto key = jinja_repr(dict.members[i].first), value = jinja_repr(dict.members[i].second);
    if (!key || !value) return std::nullopt;
    out += (i > 0 ? ", " : "") + *key + ": " + *value;
  }
  return out + "}";
}

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kRange:
      return "range";
    case Kind::kGenerator:
      return "generator";
    case Kind::kKeys:
      return "dict_keys";
    case Kind::kValues:
      return "dict_values";
    case Kind::kItems:
      return "dict_items";
  }
  return "";
}

}  // namespace

JinjaValue JinjaValue::undefined(std::string reason) {
  return JinjaUndefined{std::make_shared<const std::string>(std::move(reason))};
}
JinjaValue JinjaValue::list(std::vector<JinjaValue> items) {
  return sequence_of(Kind::kList, std::move(items));
}
JinjaValue JinjaValue::tuple(std::vector<JinjaValue> items) {
  return sequence_of(Kind::kTuple, std::move(items));
}
JinjaValue JinjaValue::generator(std::vector<JinjaValue> items) {
  return sequence_of(Kind::kGenerator, std::move(items));
}

JinjaValue JinjaValue::dict(Members members) {
  auto dict = std::make_shared<JinjaDict>();
  for (auto& [key, value] : members) {
    count_part(key, dict->depth, dict->weight);
    count_part(value, dict->depth, dict->weight);
    if (const JinjaValue* old = dict->find(key))
      *const_cast<JinjaValue*>(old) = std::move(value);
    else
      dict->members.emplace_back(std::move(key), std::move(value));
  }
  return JinjaValue(std::shared_ptr<const JinjaDict>(std::move(dict)));
}

JinjaValue JinjaValue::dict_of_distinct(Members members) {
  auto dict = std::make_shared<JinjaDict>();
  for (const auto& [key, value] : members) {
    count_part(key, dict->depth, dict->weight);
    count_part(value, dict->depth, dict->weight);
  }
  dict->members = std::move(members);
  return JinjaValue(std::shared_ptr<const JinjaDict>(std::move(dict)));
}

std::optional<std::int64_t> JinjaValue::integer() const {
  if (is_bool()) return as_bool() ? 1 : 0;
  if (is_integer()) return std::get<std::int64_t>(data_);
  return std::nullopt;
}

std::optional<double> JinjaValue::number() const {
  if (is_float()) return as_float();
  const auto whole = integer();
  return whole ? std::optional(static_cast<double>(*whole)) : std::nullopt;
}

bool JinjaValue::truth() const {
  if (is_undefined() || is_none()) return false;
  if (const auto value = number()) return *value != 0;
  if (is_string()) return !as_string().empty();
  if (const JinjaSequence* items = sequence())
    return items->kind == Kind::kGenerator || !items->items.empty();
  if (const JinjaDict* members = dict()) return !members->members.empty();
  return true;
}

std::string_view JinjaValue::type_name() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "NoneType";
  if (is_bool()) return "bool";
  if (is_integer()) return "int";
  if (is_float()) return "float";
  if (is_string()) return is_markup() ? "Markup" : "str";
  if (const JinjaSequence* items = sequence()) return name_of(items->kind);
  if (dict() != nullptr) return "dict";
  if (name_space() != nullptr) return "Namespace";
  return object()->type;
}

std::size_t JinjaValue::depth() const {
  if (const JinjaSequence* items = sequence()) return items->depth;
  if (const JinjaDict* members = dict()) return members->depth;
  if (const JinjaObject* thing = object()) return thing->depth;
  return 0;
}

std::size_t JinjaValue::weight() const {
  constexpr std::size_t kScalar = 4;
  if (is_string()) return kScalar + as_string().size();
  if (const JinjaSequence* items = sequence()) return items->weight;
  if (const JinjaDict* members = dict()) return members->weight;
  return kScalar;
}

const JinjaValue* JinjaDict::find(const JinjaValue& key) const {
  const auto found = std::ranges::find_if(members, [&](const auto& m) { return jinja_equal(m.first, key); });
  return found == members.end() ? nullptr : &found->second;
}

const JinjaValue* JinjaDict::member(std::string_view key) const {
  const auto found = std::ranges::find_if(members, [&](const auto& member) {
    return member.first.is_string() && member.first.as_string() == key;
  });
  return found == members.end() ? nullptr : &found->second;
}

const JinjaValue* JinjaNamespace::find(std::string_view name) const {
  const auto found = std::ranges::find_if(members, [&](const auto& member) { return member.first == name; });
  return found == members.end() ? nullptr : &found->second;
}

void JinjaNamespace::set(const std::string& name, JinjaValue value) {
  if (const JinjaValue* old = find(name))
    *const_cast<JinjaValue*>(old) = std::move(value);
  else
    members.emplace_back(name, std::move(value));
}

bool jinja_equal(const JinjaValue& left, const JinjaValue& right) {
  if (left.is_string() || right.is_string())
    return left.is_string() && right.is_string() && left.as_string() == right.as_string();
  if (left.is_number() && right.is_number()) {
    const auto a = left.integer(), b = right.integer();
    return a && b ? *a == *b : *left.number() == *right.number();
  }
  if (left.sequence() != nullptr && right.sequence() != nullptr)
    return equal_sequences(*left.sequence(), *right.sequence());
  if (left.dict() != nullptr && right.dict() != nullptr) return equal_dicts(*left.dict(), *right.dict());
  if (left.name_space() != nullptr) return left.name_space() == right.name_space();
  if (left.object() != nullptr) return left.object() == right.object();
  return (left.is_none() && right.is_none()) || (left.is_undefined() && right.is_undefined());
}

bool is_hashable(const JinjaValue& value) {
  if (value.dict() != nullptr) return false;
  const JinjaSequence* items = value.sequence();
  if (items == nullptr) return true;
  return items->kind == Kind::kTuple && std::ranges::all_of(items->items, is_hashable);
}

std::optional<std::string> jinja_text(const JinjaValue& value) {
  if (value.is_undefined()) return "";
  if (value.is_string()) return value.as_string();
  return jinja_repr(value);
}

std::optional<std::string> jinja_repr(const JinjaValue& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "None";
  if (value.is_bool()) return value.as_bool() ? "True" : "False";
  if (value.is_integer()) return std::to_string(*value.integer());
  if (value.is_float()) return python_repr(value.as_float());
  if (value.is_string())
    return value.is_markup() ? "Markup(" + python_repr(value.as_string()) + ")"
                             : python_repr(value.as_string());
  if (const JinjaSequence* items = value.sequence()) return repr_of(*items);
  if (const JinjaDict* members = value.dict()) return repr_of(*members);
  return std::nullopt;
}

}  // namespace graft
