#include <algorithm>
#include <array>

#include "base/text.h"
#include "text/jinja/library.h"

// The functions that a template finds ready. Source: jinja2/defaults.py and sandbox.py; raise_exception,
// strftime_now, dict and namespace as transformers sets them (utils/chat_template_utils.py).

namespace graft {
namespace {

using Args = JinjaArguments;
using Value = JinjaValue;
using Runtime = JinjaRuntime;
using Values = std::vector<Value>;

[[noreturn]] Value raise_exception(Runtime& runtime, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "raise_exception", arguments, {"message"});
  runtime.fail("the template refuses: ", bound[0] ? printable(runtime.text(*bound[0]), 1000) : "(no reason)");
}

Value strftime_now(Runtime& runtime, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "strftime_now", arguments, {"format"});
  if (bound[0] == nullptr) runtime.fail("strftime_now: want a format");
  const std::string& format = runtime.want_string(*bound[0], "strftime_now");
  constexpr std::size_t kMaxFormat = 200;
  if (format.size() > kMaxFormat) runtime.fail("strftime_now: a format of ", format.size(), " bytes");
  if (format.empty()) return Value("");
  std::array<char, 4096> buffer{};
  const std::size_t size = std::strftime(buffer.data(), buffer.size(), format.c_str(), &runtime.now());
  const std::string_view written(buffer.data(), size);
  return find_invalid_utf8(written) ? Value("") : Value(written);
}

Value range(Runtime& runtime, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "range", arguments, {"start", "stop", "step"});
  if (bound[0] == nullptr) runtime.fail("range: want an integer");
  const auto whole = [&](std::size_t i, std::int64_t otherwise) {
    return bound[i] ? runtime.want_integer(*bound[i], "range") : otherwise;
  };
  const std::int64_t start = bound[1] ? whole(0, 0) : 0, stop = bound[1] ? whole(1, 0) : whole(0, 0);
  const std::int64_t step = whole(2, 1);
  if (step == 0) runtime.fail("range: the step must not be zero");
  constexpr std::size_t kMaxRange = 100'000;
  auto result = std::make_shared<JinjaSequence>();
  result->kind = JinjaSequence::Kind::kRange;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (result->items.size() == kMaxRange) runtime.fail("range: more than ", kMaxRange, " items");
    runtime.charge(32);
    result->items.emplace_back(i);
    result->weight += 8;
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value(std::shared_ptr<const JinjaSequence>(std::move(result)));
}

// The members of dict(mapping, name=value…).
JinjaValue::Members members_of(Runtime& runtime, const Args& arguments) {
  if (arguments.positional.size() > 1) runtime.fail("dict: want at most one mapping");
  JinjaValue::Members members;
  if (!arguments.positional.empty()) {
    const Value& given = arguments.positional[0];
    runtime.want_defined(given);
    if (given.dict() != nullptr) {
      runtime.charge(64 * given.dict()->members.size());
      members = given.dict()->members;
    } else {
      for (const Value& pair : runtime.items(given)) {
        Values parts = runtime.items(pair);
        if (parts.size() != 2) runtime.fail("dict: want pairs of key and value");
        if (!is_hashable(parts[0])) runtime.fail("unhashable type: '", parts[0].type_name(), "'");
        members.emplace_back(std::move(parts[0]), std::move(parts[1]));
      }
    }
  }
  for (const auto& [name, value] : arguments.keywords) members.emplace_back(Value(name), value);
  runtime.charge(members.size() * members.size());  // keys are compared with each other
  return members;
}

Value make_dict(Runtime& runtime, const Args& arguments) {
  return Value::dict(members_of(runtime, arguments));
}

Value make_namespace(Runtime& runtime, const Args& arguments) {
  std::vector<std::pair<std::string, Value>> members;
  const Value dict = Value::dict(members_of(runtime, arguments));
  for (const auto& [key, value] : dict.dict()->members) {
    const std::string& name = runtime.want_string(key, "namespace");
    if (name.starts_with('_')) runtime.fail("a namespace cannot hold `", printable(name, 60), "`");
    members.emplace_back(name, value);
  }
  return runtime.make_namespace(std::move(members));
}

Value object(std::string type, std::size_t depth, std::function<Value(const Args&)> call,
             std::function<std::optional<Value>(std::string_view)> attribute = nullptr) {
  auto made = std::make_shared<JinjaObject>();
  made->type = std::move(type);
  made->depth = depth;
  made->call = std::move(call);
  made->attribute = std::move(attribute);
  return Value(std::move(made));
}

// joiner(sep): nothing at the first call, then sep.
Value make_joiner(Runtime& runtime, const Args& arguments) {
  const auto bound = bind_arguments(runtime, "joiner", arguments, {"sep"});
  const std::string separator = bound[0] ? runtime.text(*bound[0]) : ", ";
  return object("Joiner", 1, [separator, used = std::make_shared<bool>(false)](const Args&) {
    return Value(std::exchange(*used, true) ? separator : "");
  });
}

Value make_cycler(Runtime& runtime, const Args& arguments) {
  if (arguments.positional.empty()) runtime.fail("cycler: want at least one item");
  const Values items = arguments.positional;
  const auto position = std::make_shared<std::size_t>(0);
  const std::size_t depth = Value::list(items).depth();
  const auto next = [items, position](const Args&) {
    const std::size_t now = *position;
    *position = (now + 1) % items.size();
    return items[now];
  };
  const auto reset = [position](const Args&) {
    *position = 0;
    return Value();
  };
  return object("Cycler", depth, nullptr, [=](std::string_view name) -> std::optional<Value> {
    if (name == "current") return items[*position];
    if (name == "next") return object("method", depth, next);
    if (name == "reset") return object("method", depth, reset);
    return std::nullopt;
  });
}

using Function = Value (*)(Runtime& runtime, const Args& arguments);
constexpr std::array<JinjaNamed<Function>, 7> kFunctions = {{{"raise_exception", raise_exception},
                                                             {"strftime_now", strftime_now},
                                                             {"range", range},
                                                             {"dict", make_dict},
                                                             {"namespace", make_namespace},
                                                             {"joiner", make_joiner},
                                                             {"cycler", make_cycler}}};

}  // namespace

JinjaValue jinja_function(JinjaRuntime& runtime, std::string_view name) {
  const auto found = std::ranges::find(kFunctions, name, &JinjaNamed<Function>::name);
  if (found == kFunctions.end()) return Value::undefined("'" + printable(name, 60) + "' is undefined");
  return object("function", 1, [&runtime, call = found->function](const Args& arguments) {
    return call(runtime, arguments);
  });
}

}  // namespace graft
