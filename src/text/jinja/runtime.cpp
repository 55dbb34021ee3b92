#include "text/jinja/runtime.h"

#include <algorithm>

#include "base/text.h"
#include "text/jinja/characters.h"
#include "text/jinja/library.h"

namespace graft {
namespace {

using Kind = JinjaSequence::Kind;

constexpr std::size_t kMaxValueDepth = 100;
constexpr std::size_t kPerItem = 64;

std::vector<JinjaValue> characters_of(const std::string& text) {
  const std::vector<std::size_t> starts = character_starts(text);
  std::vector<JinjaValue> items;
  for (std::size_t i = 0; i + 1 < starts.size(); ++i)
    items.emplace_back(text.substr(starts[i], starts[i + 1] - starts[i]));
  return items;
}

bool is_indexed(const JinjaSequence& sequence) {
  return sequence.kind == Kind::kList || sequence.kind == Kind::kTuple || sequence.kind == Kind::kRange;
}

std::string describe_key(const JinjaValue& key) { return printable(jinja_repr(key).value_or("…"), 60); }

// Bounds of a slice as Python's slice.indices gives them.
struct SliceBounds {
  std::int64_t begin, end, step;
};

SliceBounds slice_bounds(std::int64_t size, std::optional<std::int64_t> begin,
                         std::optional<std::int64_t> end, std::int64_t step) {
  const std::int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
  const auto bound = [&](std::optional<std::int64_t> given, std::int64_t otherwise) {
    if (!given) return otherwise;
    return *given < 0 ? std::max(low, *given < -size ? low : *given + size) : std::min(*given, high);
  };
  return {bound(begin, step < 0 ? high : low), bound(end, step < 0 ? low : high), step};
}

std::vector<std::size_t> slice_indices(const SliceBounds& bounds) {
  std::vector<std::size_t> indices;
  const auto inside = [&](std::int64_t i) { return bounds.step > 0 ? i < bounds.end : i > bounds.end; };
  for (std::int64_t i = bounds.begin; inside(i);) {
    indices.push_back(static_cast<std::size_t>(i));
    if (__builtin_add_overflow(i, bounds.step, &i)) break;
  }
  return indices;
}

}  // namespace

const JinjaValue& JinjaRuntime::check_size(const JinjaValue& value) const {
  if (value.depth() > kMaxValueDepth) fail("a value nested more than ", kMaxValueDepth, " times");
  if (value.weight() > limits_.work) fail("a value that is too large");
  return value;
}

std::string JinjaRuntime::text(const JinjaValue& value) {
  charge(value.weight());
  auto result = jinja_text(value);
  if (!result) fail("a ", value.type_name(), " cannot be printed");
  charge(result->size());
  return *std::move(result);
}

std::vector<JinjaValue> JinjaRuntime::items(const JinjaValue& value) {
  if (value.is_undefined()) return {};
  if (value.is_string()) {
    charge(kPerItem * value.as_string().size());
    return characters_of(value.as_string());
  }
  std::vector<JinjaValue> items;
  if (const JinjaSequence* sequence = value.sequence()) {
    charge(kPerItem * sequence->items.size());
    const auto begin = sequence->items.begin() + static_cast<std::ptrdiff_t>(sequence->taken);
    items.assign(begin, sequence->items.end());
    if (sequence->kind == Kind::kGenerator) sequence->taken = sequence->items.size();
  } else if (const JinjaDict* dict = value.dict()) {
    charge(kPerItem * dict->members.size());
    for (const auto& [key, member] : dict->members) items.push_back(key);
  } else {
    fail("'", value.type_name(), "' object is not iterable");
  }
  return items;
}

std::int64_t JinjaRuntime::length(const JinjaValue& value) {
  if (value.is_undefined()) return 0;
  if (value.is_string()) {
    charge(value.as_string().size());
    return count_characters(value.as_string());
  }
  if (const JinjaDict* dict = value.dict()) return static_cast<std::int64_t>(dict->members.size());
  const JinjaSequence* sequence = value.sequence();
  if (sequence == nullptr || sequence->kind == Kind::kGenerator)
    fail("object of type '", value.type_name(), "' has no length");
  return static_cast<std::int64_t>(sequence->items.size());
}

JinjaValue JinjaRuntime::attribute(const JinjaValue& value, const std::string& name) {
  want_defined(value);
  if (const auto found = library_attribute(*this, value, name)) return *found;
  if (const auto found = own_item(value, name)) return *found;
  if (name.starts_with("_"))
    return JinjaValue::undefined("access to attribute '" + printable(name, 60) + "' of '" +
                                 std::string(value.type_name()) + "' object is unsafe");
  return JinjaValue::undefined("'" + std::string(value.type_name()) + " object' has no attribute '" +
                               printable(name, 60) + "'");
}

JinjaValue JinjaRuntime::item(const JinjaValue& value, const JinjaValue& key) {
  want_defined(value);
  if (const auto found = own_item(value, key)) return *found;
  if (key.is_string()) {
    if (const auto found = library_attribute(*this, value, key.as_string())) return *found;
    return JinjaValue::undefined("'" + std::string(value.type_name()) + " object' has no attribute " +
                                 describe_key(key));
  }
  return JinjaValue::undefined(std::string(value.type_name()) + " object has no element " +
                               describe_key(key));
}

std::optional<JinjaValue> JinjaRuntime::own_item(const JinjaValue& value, const JinjaValue& key) {
  if (const JinjaDict* dict = value.dict()) {
    charge(kPerItem + dict->members.size());
    const JinjaValue* found = is_hashable(key) ? dict->find(key) : nullptr;
    return found ? std::optional(*found) : std::nullopt;
  }
  auto index = key.integer();
  if (!index) return std::nullopt;
  if (value.is_string()) {
    charge(value.as_string().size());
    const std::vector<std::size_t> starts = character_starts(value.as_string());
    const auto size = static_cast<std::int64_t>(starts.size()) - 1;
    if (*index < 0) *index += size;
    if (*index < 0 || *index >= size) return std::nullopt;
    const auto at = static_cast<std::size_t>(*index);
    return JinjaValue(value.as_string().substr(starts[at], starts[at + 1] - starts[at]), value.is_markup());
  }
  const JinjaSequence* sequence = value.sequence();
  if (sequence == nullptr || !is_indexed(*sequence)) return std::nullopt;
  const auto size = static_cast<std::int64_t>(sequence->items.size());
  if (*index < 0) *index += size;
  if (*index < 0 || *index >= size) return std::nullopt;
  return sequence->items[static_cast<std::size_t>(*index)];
}

JinjaValue JinjaRuntime::slice(const JinjaValue& value, const JinjaValue& begin, const JinjaValue& end,
                               const JinjaValue& step) {
  want_defined(value);
  const auto bound = [&](const JinjaValue& given) -> std::optional<std::int64_t> {
    if (given.is_none()) return std::nullopt;
    return want_integer(given, "a bound of a slice");
  };
  const std::int64_t stride = bound(step).value_or(1);
  if (stride == 0) fail("a slice with step 0");
  if (value.is_string()) {
    const std::string& text = value.as_string();
    charge(kPerItem * text.size());
    const std::vector<std::size_t> starts = character_starts(text);
    std::string result;
    for (const std::size_t i : slice_indices(
             slice_bounds(static_cast<std::int64_t>(starts.size()) - 1, bound(begin), bound(end), stride)))
      result.append(text, starts[i], starts[i + 1] - starts[i]);
    return JinjaValue(std::move(result), value.is_markup());
  }
  const JinjaSequence* sequence = value.sequence();
  // As in Python a dict cannot be sliced; Jinja then looks for a member of that name and finds none.
  if (sequence == nullptr || !is_indexed(*sequence))
    return JinjaValue::undefined(std::string(value.type_name()) + " object cannot be sliced");
  charge(kPerItem * sequence->items.size());
  std::vector<JinjaValue> items;
  for (const std::size_t i : slice_indices(
           slice_bounds(static_cast<std::int64_t>(sequence->items.size()), bound(begin), bound(end), stride)))
    items.push_back(sequence->items[i]);
  return sequence->kind == Kind::kTuple ? JinjaValue::tuple(std::move(items))
                                        : JinjaValue::list(std::move(items));
}

JinjaValue JinjaRuntime::call(const JinjaValue& callee, const JinjaArguments& arguments) {
  want_defined(callee);
  const JinjaObject* object = callee.object();
  if (object == nullptr || !object->call) fail("'", callee.type_name(), "' object is not callable");
  return object->call(arguments);
}

JinjaValue JinjaRuntime::call_method(const JinjaValue& value, const std::string& name,
                                     const JinjaArguments& arguments) {
  want_defined(value);
  if (const JinjaMethod method = find_jinja_method(value, name)) {
    charge_text(value);
    return method(*this, value, arguments);
  }
  return call(attribute(value, name), arguments);
}

JinjaValue JinjaRuntime::filter(const std::string& name, const JinjaValue& value,
                                const JinjaArguments& arguments) {
  const JinjaFilter found = find_jinja_filter(name);
  if (found == nullptr) fail("no filter named '", printable(name, 60), "'");
  return check_size(found(*this, value, arguments));
}

bool JinjaRuntime::test(const std::string& name, const JinjaValue& value, const JinjaArguments& arguments) {
  const JinjaTest found = find_jinja_test(name);
  if (found == nullptr) fail("no test named '", printable(name, 60), "'");
  return found(*this, value, arguments);
}

JinjaValue JinjaRuntime::make_namespace(std::vector<std::pair<std::string, JinjaValue>> members) {
  constexpr std::size_t kCost = 512;  // they live until the end
  charge(kCost);
  auto made = std::make_shared<JinjaNamespace>();
  made->members = std::move(members);
  namespaces_.push_back(made);
  return JinjaValue(std::move(made));
}

void JinjaRuntime::clear_namespaces() {
  for (const auto& name_space : namespaces_) name_space->members.clear();
  namespaces_.clear();
}

std::int64_t JinjaRuntime::want_integer(const JinjaValue& value, std::string_view what) const {
  want_defined(value);
  const auto number = value.integer();
  if (!number) fail(what, ": got a ", value.type_name(), ", want an integer");
  return *number;
}

const std::string& JinjaRuntime::want_string(const JinjaValue& value, std::string_view what) const {
  want_defined(value);
  if (!value.is_string()) fail(what, ": got a ", value.type_name(), ", want a string");
  return value.as_string();
}

std::vector<const JinjaValue*> bind_arguments(const JinjaRuntime& runtime, std::string_view function,
                                              const JinjaArguments& arguments,
                                              std::initializer_list<std::string_view> parameters) {
  std::vector<const JinjaValue*> bound(parameters.size(), nullptr);
  if (arguments.positional.size() > parameters.size())
    runtime.fail(function, ": got ", arguments.positional.size(), " arguments, want at most ",
                 parameters.size());
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.keywords) {
    const auto found = std::ranges::find(parameters, name);
    if (found == parameters.end()) runtime.fail(function, ": unknown argument `", printable(name, 60), "`");
    const JinjaValue*& slot = bound[static_cast<std::size_t>(found - parameters.begin())];
    if (slot != nullptr) runtime.fail(function, ": got `", name, "` twice");
    slot = &value;
  }
  return bound;
}

}  // namespace graft
