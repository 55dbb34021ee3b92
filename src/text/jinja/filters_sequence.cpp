#include <algorithm>
#include <array>

#include "base/text.h"
#include "text/jinja/characters.h"
#include "text/jinja/library.h"

// Filters of sequences and dicts. Source: jinja2/filters.py.

namespace graft {
namespace {

using Args = JinjaArguments;
using Value = JinjaValue;
using Runtime = JinjaRuntime;
using Values = std::vector<Value>;

// item.a.b.0 for the path "a.b.0"; a number is one index.
Value follow(Runtime& runtime, const Value& item, const Value& path) {
  if (!path.is_string()) return path.is_none() ? item : runtime.item(item, path);
  runtime.charge(path.as_string().size());
  Value found = item;
  for (const std::string& part : split(path.as_string(), '.')) {
    constexpr std::size_t kStep = 32;
    runtime.charge(kStep);
    const bool is_index =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == part.npos;
    found = runtime.item(found, is_index ? Value(std::int64_t{std::stoll(part)}) : Value(part));
  }
  return found;
}

Value ignore_case(Runtime& runtime, const Value& value) {
  runtime.charge_text(value);
  return value.is_string() ? Value(with_case(value.as_string(), LetterCase::kLower)) : value;
}

bool is_set(const Value* argument) { return argument != nullptr && argument->truth(); }

// Orders items by keys, stable; a reversed order keeps equal items in place too.
Values sorted_by(Runtime& runtime, const Values& items, const Values& keys, bool reverse) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    constexpr std::size_t kComparison = 32;
    runtime.charge(kComparison);
    return reverse ? jinja_less(runtime, keys[b], keys[a]) : jinja_less(runtime, keys[a], keys[b]);
  });
  Values result;
  for (const std::size_t i : order) result.push_back(items[i]);
  return result;
}

Value first(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "first", arguments, {});
  // Of a generator only one item is taken.
  const JinjaSequence* sequence = value.sequence();
  if (sequence != nullptr && sequence->kind == JinjaSequence::Kind::kGenerator) {
    if (sequence->taken < sequence->items.size()) return sequence->items[sequence->taken++];
    return Value::undefined("No first item, sequence was empty.");
  }
  const Values items = runtime.items(value);
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Value last(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "last", arguments, {});
  const JinjaSequence* sequence = value.sequence();
  if (sequence != nullptr && sequence->kind == JinjaSequence::Kind::kGenerator)
    runtime.fail("'generator' object is not reversible");
  const Values items = runtime.items(value);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value list(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "list", arguments, {});
  return Value::list(runtime.items(value));
}

Value join(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "join", arguments, {"d", "attribute"});
  const std::string separator = bound[0] ? runtime.text(*bound[0]) : "";
  const bool by_attribute = bound[1] != nullptr && !bound[1]->is_none();
  std::string result;
  bool is_first = true;
  for (const Value& item : runtime.items(value)) {
    if (!is_first) result += separator;
    is_first = false;
    runtime.charge(separator.size());
    result += runtime.text(by_attribute ? follow(runtime, item, *bound[1]) : item);
  }
  return result;
}

Value items_of(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "items", arguments, {});
  if (value.is_undefined()) return Value::generator({});
  const JinjaDict* dict = value.dict();
  if (dict == nullptr) runtime.fail("items: got a ", value.type_name(), ", want a mapping");
  runtime.charge(64 * dict->members.size());
  Values pairs;
  for (const auto& [key, member] : dict->members) pairs.push_back(Value::tuple({key, member}));
  return Value::generator(std::move(pairs));
}

Value map_attribute(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "map", arguments, {"attribute", "default"});
  Values results;
  for (const Value& item : runtime.items(value)) {
    Value found = follow(runtime, item, *bound[0]);
    const bool missing = found.is_undefined() && bound[1] != nullptr && !bound[1]->is_none();
    results.push_back(missing ? *bound[1] : std::move(found));
  }
  return Value::generator(std::move(results));
}

Value map(Runtime& runtime, const Value& value, const Args& arguments) {
  if (!value.truth()) return Value::generator({});
  if (arguments.positional.empty()) {
    const bool named =
        std::ranges::any_of(arguments.keywords, [](const auto& k) { return k.first == "attribute"; });
    if (!named) runtime.fail("map: want a filter or an attribute");
    return map_attribute(runtime, value, arguments);
  }
  const std::string name = runtime.want_string(arguments.positional[0], "map");
  const Args rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.keywords};
  Values results;
  for (const Value& item : runtime.items(value)) results.push_back(runtime.filter(name, item, rest));
  return Value::generator(std::move(results));
}

enum class Choice { kSelect, kReject };
enum class Subject { kItem, kAttribute };

Value choose(Runtime& runtime, const Value& value, const Args& arguments, Choice choice, Subject subject) {
  if (!value.truth()) return Value::generator({});
  const std::size_t skipped = subject == Subject::kAttribute ? 1 : 0;
  if (arguments.positional.size() < skipped) runtime.fail("want the name of an attribute");
  const bool has_test = arguments.positional.size() > skipped;
  const std::string name =
      has_test ? runtime.want_string(arguments.positional[skipped], "the name of a test") : "";
  Args rest{{}, arguments.keywords};
  for (std::size_t i = skipped + 1; i < arguments.positional.size(); ++i)
    rest.positional.push_back(arguments.positional[i]);
  Values results;
  for (const Value& item : runtime.items(value)) {
    const Value tested =
        subject == Subject::kAttribute ? follow(runtime, item, arguments.positional[0]) : item;
    const bool holds = has_test ? runtime.test(name, tested, rest) : tested.truth();
    if (holds == (choice == Choice::kSelect)) results.push_back(item);
  }
  return Value::generator(std::move(results));
}

template <Choice kChoice, Subject kSubject>
Value chosen(Runtime& runtime, const Value& value, const Args& arguments) {
  return choose(runtime, value, arguments, kChoice, kSubject);
}

Value dict_sort(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "dictsort", arguments, {"case_sensitive", "by", "reverse"});
  runtime.want_defined(value);
  const JinjaDict* dict = value.dict();
  if (dict == nullptr) runtime.fail("dictsort: got a ", value.type_name(), ", want a mapping");
  const std::string by = bound[1] ? runtime.want_string(*bound[1], "by") : "key";
  if (by != "key" && by != "value") runtime.fail("dictsort: by: want \"key\" or \"value\"");
  Values pairs, keys;
  for (const auto& [key, member] : dict->members) {
    pairs.push_back(Value::tuple({key, member}));
    const Value& sorted = by == "key" ? key : member;
    keys.push_back(is_set(bound[0]) ? sorted : ignore_case(runtime, sorted));
  }
  return Value::list(sorted_by(runtime, pairs, keys, is_set(bound[2])));
}

Value sort(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const Values items = runtime.items(value);
  const bool by_text = bound[2] != nullptr && bound[2]->is_string();
  const std::vector<std::string> paths =
      by_text ? split(bound[2]->as_string(), ',') : std::vector<std::string>{};
  Values keys;
  for (const Value& item : items) {
    Values parts;
    for (const std::string& path : paths) parts.push_back(follow(runtime, item, Value(path)));
    if (!by_text) parts.push_back(bound[2] ? follow(runtime, item, *bound[2]) : item);
    if (!is_set(bound[1]))
      for (Value& part : parts) part = ignore_case(runtime, part);
    keys.push_back(Value::list(std::move(parts)));
  }
  return Value::list(sorted_by(runtime, items, keys, is_set(bound[0])));
}

Value unique(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "unique", arguments, {"case_sensitive", "attribute"});
  Values seen, result;
  for (const Value& item : runtime.items(value)) {
    const Value found = bound[1] ? follow(runtime, item, *bound[1]) : item;
    const Value key = is_set(bound[0]) ? found : ignore_case(runtime, found);
    runtime.charge((16 + key.weight()) * seen.size());
    if (std::ranges::any_of(seen, [&](const Value& other) { return jinja_equal(other, key); })) continue;
    seen.push_back(key);
    result.push_back(item);
  }
  return Value::generator(std::move(result));
}

Value reverse(Runtime& runtime, const Value& value, const Args& arguments) {
  bind_arguments(runtime, "reverse", arguments, {});
  if (value.is_string()) return runtime.slice(value, {}, {}, Value(std::int64_t{-1}));
  Values items = runtime.items(value);
  std::ranges::reverse(items);
  return Value::generator(std::move(items));
}

Value extreme(Runtime& runtime, const Value& value, const Args& arguments, bool largest) {
  const auto bound = bind_arguments(runtime, "min, max", arguments, {"case_sensitive", "attribute"});
  const Values items = runtime.items(value);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const auto key_of = [&](const Value& item) {
    const Value key = bound[1] ? follow(runtime, item, *bound[1]) : item;
    return is_set(bound[0]) ? key : ignore_case(runtime, key);
  };
  const Value* best = &items[0];
  for (const Value& item : items) {
    const Value key = key_of(item), best_key = key_of(*best);
    if (largest ? jinja_less(runtime, best_key, key) : jinja_less(runtime, key, best_key)) best = &item;
  }
  return *best;
}

Value smallest(Runtime& runtime, const Value& value, const Args& arguments) {
  return extreme(runtime, value, arguments, false);
}
Value largest(Runtime& runtime, const Value& value, const Args& arguments) {
  return extreme(runtime, value, arguments, true);
}

Value sum(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "sum", arguments, {"attribute", "start"});
  const bool by_attribute = bound[0] != nullptr && !bound[0]->is_none();
  Value total = bound[1] ? *bound[1] : Value(std::int64_t{0});
  for (const Value& item : runtime.items(value))
    total = runtime.check_size(jinja_arithmetic(runtime, JinjaOperator::kAdd, total,
                                                by_attribute ? follow(runtime, item, *bound[0]) : item));
  return total;
}

Value batch(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "batch", arguments, {"linecount", "fill_with"});
  if (bound[0] == nullptr) runtime.fail("batch: want a number of items");
  const std::int64_t size = runtime.want_integer(*bound[0], "batch");
  const bool fills = bound[1] != nullptr && !bound[1]->is_none();
  Values rows, row;
  for (const Value& item : runtime.items(value)) {
    if (static_cast<std::int64_t>(row.size()) == size) rows.push_back(Value::list(std::exchange(row, {})));
    row.push_back(item);
  }
  if (!row.empty()) {
    while (fills && static_cast<std::int64_t>(row.size()) < size) {
      runtime.charge(32);
      row.push_back(*bound[1]);
    }
    rows.push_back(Value::list(std::move(row)));
  }
  return Value::generator(std::move(rows));
}

Value group_by(Runtime& runtime, const Value& value, const Args& arguments) {
  const auto bound =
      bind_arguments(runtime, "groupby", arguments, {"attribute", "default", "case_sensitive"});
  if (bound[0] == nullptr) runtime.fail("groupby: want an attribute");
  const Values items = runtime.items(value);
  Values keys, places;
  for (const Value& item : items) {
    Value key = follow(runtime, item, *bound[0]);
    if (key.is_undefined() && bound[1] != nullptr) key = *bound[1];
    keys.push_back(is_set(bound[2]) ? key : ignore_case(runtime, key));
    places.emplace_back(static_cast<std::int64_t>(places.size()));
  }
  Values groups, group;
  const auto at = [](const Value& place) { return static_cast<std::size_t>(*place.integer()); };
  std::optional<std::size_t> leader;
  const auto put_group = [&] {
    if (!leader) return;
    Value name = follow(runtime, items[*leader], *bound[0]);
    if (name.is_undefined() && bound[1] != nullptr) name = *bound[1];
    groups.push_back(Value::tuple({name, Value::list(std::exchange(group, {}))}));
  };
  for (const Value& place : sorted_by(runtime, places, keys, false)) {
    if (!leader || !jinja_equal(keys[*leader], keys[at(place)])) {
      put_group();
      leader = at(place);
    }
    group.push_back(items[at(place)]);
  }
  put_group();
  return Value::list(std::move(groups));
}

constexpr std::array<JinjaNamed<JinjaFilter>, 19> kFilters = {
    {{"first", first},
     {"last", last},
     {"list", list},
     {"join", join},
     {"items", items_of},
     {"map", map},
     {"select", chosen<Choice::kSelect, Subject::kItem>},
     {"reject", chosen<Choice::kReject, Subject::kItem>},
     {"selectattr", chosen<Choice::kSelect, Subject::kAttribute>},
     {"rejectattr", chosen<Choice::kReject, Subject::kAttribute>},
     {"dictsort", dict_sort},
     {"sort", sort},
     {"unique", unique},
     {"reverse", reverse},
     {"min", smallest},
     {"max", largest},
     {"sum", sum},
     {"batch", batch},
     {"groupby", group_by}}};

}  // namespace

std::span<const JinjaNamed<JinjaFilter>> jinja_sequence_filters() { return kFilters; }

}  // namespace graft
