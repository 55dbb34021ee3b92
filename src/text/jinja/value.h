#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace graft {

class JinjaValue;

/// A name that stands for nothing; `reason` is the error of whatever cannot be done with it.
struct JinjaUndefined {
  std::shared_ptr<const std::string> reason;
};

/// A string; `markup` is set by `safe` and `escape`: adding plain text to it escapes that text.
struct JinjaText {
  std::string text;  // valid UTF-8
  bool markup = false;
};

struct JinjaSequence;
struct JinjaDict;
struct JinjaNamespace;
struct JinjaObject;

/// A value of a template with the behaviour of its Python counterpart. Cheap to copy. All but namespaces and
/// objects are immutable, so that values cannot contain themselves except through these, and the evaluator
/// empties them in the end.
class JinjaValue {
 public:
  using Members = std::vector<std::pair<JinjaValue, JinjaValue>>;

  JinjaValue() : data_(nullptr) {}  // None
  JinjaValue(bool value) : data_(value) {}
  JinjaValue(std::int64_t value) : data_(value) {}
  JinjaValue(double value) : data_(value) {}
  JinjaValue(std::string value, bool markup = false)
      : data_(std::make_shared<const JinjaText>(JinjaText{std::move(value), markup})) {}
  JinjaValue(std::string_view value) : JinjaValue(std::string(value)) {}
  JinjaValue(const char* value) : JinjaValue(std::string(value)) {}
  JinjaValue(JinjaUndefined value) : data_(std::move(value)) {}
  JinjaValue(std::shared_ptr<const JinjaSequence> value) : data_(std::move(value)) {}
  JinjaValue(std::shared_ptr<const JinjaDict> value) : data_(std::move(value)) {}
  JinjaValue(std::shared_ptr<JinjaNamespace> value) : data_(std::move(value)) {}
  JinjaValue(std::shared_ptr<JinjaObject> value) : data_(std::move(value)) {}
  template <class T>
  requires std::is_pointer_v<T> JinjaValue(T)
  = delete;  // a pointer is no bool

  static JinjaValue undefined(std::string reason);
  static JinjaValue list(std::vector<JinjaValue> items);
  static JinjaValue tuple(std::vector<JinjaValue> items);
  static JinjaValue generator(std::vector<JinjaValue> items);
  /// Later members replace earlier ones of an equal key. Keys must be hashable (see is_hashable).
  static JinjaValue dict(Members members);
  /// The same where no two keys are equal.
  static JinjaValue dict_of_distinct(Members members);

  bool is_undefined() const { return holds<JinjaUndefined>(); }
  bool is_none() const { return holds<std::nullptr_t>(); }
  bool is_bool() const { return holds<bool>(); }
  bool is_integer() const { return holds<std::int64_t>(); }  ///< not a bool
  bool is_float() const { return holds<double>(); }
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_string() const { return holds<std::shared_ptr<const JinjaText>>(); }
  bool is_markup() const { return is_string() && text().markup; }

  const JinjaUndefined& as_undefined() const { return std::get<JinjaUndefined>(data_); }
  bool as_bool() const { return std::get<bool>(data_); }
  double as_float() const { return std::get<double>(data_); }
  const std::string& as_string() const { return text().text; }
  /// A bool or an integer as an integer, or nothing.
  std::optional<std::int64_t> integer() const;
  /// Any number as a float, or nothing.
  std::optional<double> number() const;

  /// The parts, or null where it is something else.
  const JinjaSequence* sequence() const { return pointer<std::shared_ptr<const JinjaSequence>>(); }
  const JinjaDict* dict() const { return pointer<std::shared_ptr<const JinjaDict>>(); }
  JinjaNamespace* name_space() const { return pointer<std::shared_ptr<JinjaNamespace>>(); }
  JinjaObject* object() const { return pointer<std::shared_ptr<JinjaObject>>(); }

  /// bool(value).
  bool truth() const;
  /// The name of the type in Python ("str", "dict").
  std::string_view type_name() const;
  /// How deep lists and dicts are nested: 0 for what holds no others.
  std::size_t depth() const;
  /// About the bytes that writing the value takes, what is shared counted as often as it stands there.
  std::size_t weight() const;

 private:
  template <class T>
  bool holds() const {
    return std::holds_alternative<T>(data_);
  }
  template <class T>
  typename T::element_type* pointer() const {
    const T* found = std::get_if<T>(&data_);
    return found ? found->get() : nullptr;
  }
  const JinjaText& text() const { return *std::get<std::shared_ptr<const JinjaText>>(data_); }

  std::variant<JinjaUndefined, std::nullptr_t, bool, std::int64_t, double, std::shared_ptr<const JinjaText>,
               std::shared_ptr<const JinjaSequence>, std::shared_ptr<const JinjaDict>,
               std::shared_ptr<JinjaNamespace>, std::shared_ptr<JinjaObject>>
      data_;
};

struct JinjaSequence {
  enum class Kind { kList, kTuple, kRange, kGenerator, kKeys, kValues, kItems };
  Kind kind;
  std::vector<JinjaValue> items;
  std::size_t depth = 1, weight = 1;
  mutable std::size_t taken = 0;  ///< of a generator: what has been read
};

struct JinjaDict {
  JinjaValue::Members members;  // in the order of insertion, keys differ
  std::size_t depth = 1, weight = 1;
  const JinjaValue* find(const JinjaValue& key) const;
  const JinjaValue* member(std::string_view key) const;
};

/// namespace(): the only thing that a template can change.
struct JinjaNamespace {
  std::vector<std::pair<std::string, JinjaValue>> members;
  const JinjaValue* find(std::string_view name) const;
  void set(const std::string& name, JinjaValue value);
};

/// What a call passes.
struct JinjaArguments {
  std::vector<JinjaValue> positional;
  std::vector<std::pair<std::string, JinjaValue>> keywords;
};

/// A macro, a function, a bound method or a loop: something with attributes that can be called. Either may be
/// empty.
struct JinjaObject {
  std::string type;
  std::function<JinjaValue(const JinjaArguments&)> call;
  std::function<std::optional<JinjaValue>(std::string_view)> attribute;
  std::size_t depth = 1;  ///< one more than that of what it holds
};

/// left == right as Python has it (1 == 1.0 == True; lists and tuples by their items).
bool jinja_equal(const JinjaValue& left, const JinjaValue& right);
/// Whether the value may be a key: no list, dict or namespace inside.
bool is_hashable(const JinjaValue& value);
/// str(value); nothing for what Python prints with its address.
std::optional<std::string> jinja_text(const JinjaValue& value);
/// repr(value).
std::optional<std::string> jinja_repr(const JinjaValue& value);

}  // namespace graft
