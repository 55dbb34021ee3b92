#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/syntax.h"
#include "text/jinja/value.h"

// What templates find ready: the filters, tests, methods and functions of Jinja 3 and Python that chat
// templates use. One row in a table each.

namespace graft {

using JinjaFilter = JinjaValue (*)(JinjaRuntime& runtime, const JinjaValue& value,
                                   const JinjaArguments& arguments);
using JinjaMethod = JinjaFilter;
using JinjaTest = bool (*)(JinjaRuntime& runtime, const JinjaValue& value, const JinjaArguments& arguments);

template <class Function>
struct JinjaNamed {
  std::string_view name;
  Function function;
};

/// The filter of a name, or null.
JinjaFilter find_jinja_filter(std::string_view name);
/// The rows of find_jinja_filter: of text, of sequences, of numbers and everything else.
std::span<const JinjaNamed<JinjaFilter>> jinja_text_filters();
std::span<const JinjaNamed<JinjaFilter>> jinja_sequence_filters();
std::span<const JinjaNamed<JinjaFilter>> jinja_value_filters();

/// The test of a name, or null.
JinjaTest find_jinja_test(std::string_view name);

/// The method of a string, list, tuple or dict, or null. Methods that change their value are not there.
JinjaMethod find_jinja_method(const JinjaValue& value, std::string_view name);
JinjaMethod find_text_method(std::string_view name);

/// Attributes that are no items: methods (bound), members of a namespace, what an object has.
std::optional<JinjaValue> library_attribute(JinjaRuntime& runtime, const JinjaValue& value,
                                            const std::string& name);

/// The function that a template finds under a name (range, namespace, dict, joiner, cycler, raise_exception,
/// strftime_now), or undefined.
JinjaValue jinja_function(JinjaRuntime& runtime, std::string_view name);

/// left op right for the operators of arithmetic and comparison.
JinjaValue jinja_arithmetic(JinjaRuntime& runtime, JinjaOperator op, const JinjaValue& left,
                            const JinjaValue& right);
bool jinja_compare(JinjaRuntime& runtime, JinjaOperator op, const JinjaValue& left, const JinjaValue& right);
/// left < right. Error where Python has no order for the two.
bool jinja_less(JinjaRuntime& runtime, const JinjaValue& left, const JinjaValue& right);
/// part in whole.
bool jinja_contains(JinjaRuntime& runtime, const JinjaValue& whole, const JinjaValue& part);
/// -value.
JinjaValue jinja_negative(JinjaRuntime& runtime, const JinjaValue& value);

/// HTML escapes as markupsafe writes them.
std::string jinja_escape(std::string_view text);
/// format % values.
std::string jinja_percent_format(JinjaRuntime& runtime, const std::string& format,
                                 const std::vector<JinjaValue>& values);

/// How tojson writes, as json.dumps has it.
struct JinjaJsonStyle {
  bool ensure_ascii = false, sort_keys = false;
  std::optional<std::string> indent;  ///< of one level
  std::string item_separator = ", ", key_separator = ": ";
};
/// json.dumps(value).
std::string jinja_json(JinjaRuntime& runtime, const JinjaValue& value, const JinjaJsonStyle& style);

}  // namespace graft
