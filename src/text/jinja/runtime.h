#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/jinja/source.h"
#include "text/jinja/value.h"

namespace graft {

/// How much a template may do. They bind hostile templates only: a real one needs a thousandth.
struct JinjaLimits {
  std::size_t work = 64'000'000;                     ///< bytes handled; a step of the evaluator counts as 32
  std::size_t output_bytes = std::size_t{32} << 20;  ///< length of the rendered text
  std::size_t levels = 400;                          ///< expressions, blocks and calls inside each other
};

/// What the parts of an evaluation share: where it is, what it may still do, and how values are used.
class JinjaRuntime {
 public:
  JinjaRuntime(const JinjaSource& source, const JinjaLimits& limits, const std::tm& now)
      : limits_(limits), source_(source), now_(now), work_left_(limits.work) {}
  JinjaRuntime(const JinjaRuntime&) = delete;

  const JinjaLimits& limits() const { return limits_; }
  /// The local time that strftime_now writes.
  const std::tm& now() const { return now_; }

  /// Where errors are reported from now on.
  void stand_at(std::size_t at) { at_ = at; }
  std::size_t at() const { return at_; }
  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    graft::fail(source_.place(at_), ": ", parts...);
  }

  /// Counts work before it is done. Error where the template has done too much.
  void charge(std::size_t bytes) {
    if (bytes > work_left_) fail("the template does too much (an endless loop, or text without end)");
    work_left_ -= bytes;
  }
  /// Counts work on every byte of a text; nothing where the value is none.
  void charge_text(const JinjaValue& value) {
    if (value.is_string()) charge(value.as_string().size());
  }
  /// Counts looking for `sought` all through a text, once or one after the other: each place may be compared
  /// with all of it.
  void charge_search(std::string_view text, std::string_view sought) {
    constexpr std::size_t kComparedAtOnce = 16;
    charge(text.size() * (1 + std::min(text.size(), sought.size()) / kComparedAtOnce));
  }
  /// The value. Error where it is nested too deeply or heavier than all text may be.
  const JinjaValue& check_size(const JinjaValue& value) const;

  /// str(value).
  std::string text(const JinjaValue& value);
  /// The items that a loop over the value sees; a generator is empty afterwards. Error: cannot be looped
  /// over.
  std::vector<JinjaValue> items(const JinjaValue& value);
  /// len(value).
  std::int64_t length(const JinjaValue& value);

  /// value.name and value[key]: undefined where there is none. What Python's sandbox hides is undefined too.
  JinjaValue attribute(const JinjaValue& value, const std::string& name);
  JinjaValue item(const JinjaValue& value, const JinjaValue& key);
  /// value[begin:end:step]; None stands for what is left out.
  JinjaValue slice(const JinjaValue& value, const JinjaValue& begin, const JinjaValue& end,
                   const JinjaValue& step);

  JinjaValue call(const JinjaValue& callee, const JinjaArguments& arguments);
  /// value.name(arguments).
  JinjaValue call_method(const JinjaValue& value, const std::string& name, const JinjaArguments& arguments);
  JinjaValue filter(const std::string& name, const JinjaValue& value, const JinjaArguments& arguments);
  bool test(const std::string& name, const JinjaValue& value, const JinjaArguments& arguments);

  /// Namespaces live until the end, so that long chains of them and those that hold themselves can be taken
  /// apart one by one.
  JinjaValue make_namespace(std::vector<std::pair<std::string, JinjaValue>> members);
  /// Empties all namespaces.
  void clear_namespaces();

  /// The error of what cannot be done with an undefined value.
  [[noreturn]] void fail_undefined(const JinjaValue& value) const { fail(*value.as_undefined().reason); }
  /// Fails where the value is undefined.
  void want_defined(const JinjaValue& value) const {
    if (value.is_undefined()) fail_undefined(value);
  }
  /// An integer argument. Error: `what` is something else.
  std::int64_t want_integer(const JinjaValue& value, std::string_view what) const;
  const std::string& want_string(const JinjaValue& value, std::string_view what) const;

 private:
  std::optional<JinjaValue> own_item(const JinjaValue& value, const JinjaValue& key);

  JinjaLimits limits_;
  const JinjaSource& source_;
  std::tm now_;
  std::size_t at_ = 0;
  std::size_t work_left_;
  std::vector<std::shared_ptr<JinjaNamespace>> namespaces_;
};

/// The arguments of a call by the names of its parameters: null where one is not given. Errors: too many, an
/// unknown or repeated keyword.
std::vector<const JinjaValue*> bind_arguments(const JinjaRuntime& runtime, std::string_view function,
                                              const JinjaArguments& arguments,
                                              std::initializer_list<std::string_view> parameters);

}  // namespace graft
