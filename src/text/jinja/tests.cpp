#include <algorithm>
#include <array>

#include "text/jinja/characters.h"
#include "text/jinja/library.h"

// Source: jinja2/tests.py.

namespace graft {
namespace {

using Args = JinjaArguments;
using Kind = JinjaSequence::Kind;
using Value = JinjaValue;
using Runtime = JinjaRuntime;

const Value& operand(const Runtime& runtime, std::string_view test, const Args& arguments) {
  const auto bound = bind_arguments(runtime, test, arguments, {"other"});
  if (bound[0] == nullptr) runtime.fail("the test `", test, "` needs a value to compare with");
  return *bound[0];
}

template <JinjaOperator kOperator>
bool compares(Runtime& runtime, const Value& value, const Args& arguments) {
  return jinja_compare(runtime, kOperator, value, operand(runtime, "comparison", arguments));
}

bool is_callable(Runtime&, const Value& value, const Args&) {
  return value.object() != nullptr && value.object()->call;
}

bool divides(Runtime& runtime, const Value& value, std::int64_t number) {
  const std::int64_t whole = runtime.want_integer(value, "a test of an integer");
  if (number == 0) runtime.fail("division by zero");
  return number == -1 || whole % number == 0;
}

bool divisible_by(Runtime& runtime, const Value& value, const Args& arguments) {
  return divides(runtime, value,
                 runtime.want_integer(operand(runtime, "divisibleby", arguments), "divisibleby"));
}

bool is_iterable(Runtime&, const Value& value, const Args&) {
  return value.is_undefined() || value.is_string() || value.sequence() != nullptr || value.dict() != nullptr;
}

bool is_sequence(Runtime&, const Value& value, const Args&) {
  if (const JinjaSequence* sequence = value.sequence())
    return sequence->kind == Kind::kList || sequence->kind == Kind::kTuple || sequence->kind == Kind::kRange;
  return value.is_undefined() || value.is_string() || value.dict() != nullptr;
}

bool is_same(Runtime& runtime, const Value& value, const Args& arguments) {
  const Value& other = operand(runtime, "sameas", arguments);
  if (value.type_name() != other.type_name()) return false;
  if (value.sequence() != nullptr) return value.sequence() == other.sequence();
  if (value.dict() != nullptr) return value.dict() == other.dict();
  return jinja_compare(runtime, JinjaOperator::kEqual, value, other);
}

template <LetterCase kCase>
bool has_case(Runtime& runtime, const Value& value, const Args&) {
  const std::string text = runtime.text(value);
  constexpr LetterCase kOther = kCase == LetterCase::kLower ? LetterCase::kUpper : LetterCase::kLower;
  return with_case(text, kCase) == text && with_case(text, kOther) != text;
}

bool contains(Runtime& runtime, const Value& value, const Args& arguments) {
  return jinja_contains(runtime, operand(runtime, "in", arguments), value);
}

bool names_filter(Runtime& runtime, const Value& value, const Args&) {
  return find_jinja_filter(runtime.want_string(value, "filter")) != nullptr;
}
bool names_test(Runtime& runtime, const Value& value, const Args&) {
  return find_jinja_test(runtime.want_string(value, "test")) != nullptr;
}

constexpr std::array<JinjaNamed<JinjaTest>, 39> kTests = {{
    {"defined", [](Runtime&, const Value& v, const Args&) { return !v.is_undefined(); }},
    {"undefined", [](Runtime&, const Value& v, const Args&) { return v.is_undefined(); }},
    {"none", [](Runtime&, const Value& v, const Args&) { return v.is_none(); }},
    {"boolean", [](Runtime&, const Value& v, const Args&) { return v.is_bool(); }},
    {"true", [](Runtime&, const Value& v, const Args&) { return v.is_bool() && v.as_bool(); }},
    {"false", [](Runtime&, const Value& v, const Args&) { return v.is_bool() && !v.as_bool(); }},
    {"integer", [](Runtime&, const Value& v, const Args&) { return v.is_integer(); }},
    {"float", [](Runtime&, const Value& v, const Args&) { return v.is_float(); }},
    {"number", [](Runtime&, const Value& v, const Args&) { return v.is_number(); }},
    {"string", [](Runtime&, const Value& v, const Args&) { return v.is_string(); }},
    {"mapping", [](Runtime&, const Value& v, const Args&) { return v.dict() != nullptr; }},
    {"sequence", is_sequence},
    {"iterable", is_iterable},
    {"callable", is_callable},
    {"escaped", [](Runtime&, const Value& v, const Args&) { return v.is_markup(); }},
    {"lower", has_case<LetterCase::kLower>},
    {"upper", has_case<LetterCase::kUpper>},
    {"odd", [](Runtime& r, const Value& v, const Args&) { return !divides(r, v, 2); }},
    {"even", [](Runtime& r, const Value& v, const Args&) { return divides(r, v, 2); }},
    {"divisibleby", divisible_by},
    {"sameas", is_same},
    {"in", contains},
    {"filter", names_filter},
    {"test", names_test},
    {"==", compares<JinjaOperator::kEqual>},
    {"eq", compares<JinjaOperator::kEqual>},
    {"equalto", compares<JinjaOperator::kEqual>},
    {"!=", compares<JinjaOperator::kUnequal>},
    {"ne", compares<JinjaOperator::kUnequal>},
    {">", compares<JinjaOperator::kGreater>},
    {"gt", compares<JinjaOperator::kGreater>},
    {"greaterthan", compares<JinjaOperator::kGreater>},
    {">=", compares<JinjaOperator::kGreaterEqual>},
    {"ge", compares<JinjaOperator::kGreaterEqual>},
    {"<", compares<JinjaOperator::kLess>},
    {"lt", compares<JinjaOperator::kLess>},
    {"lessthan", compares<JinjaOperator::kLess>},
    {"<=", compares<JinjaOperator::kLessEqual>},
    {"le", compares<JinjaOperator::kLessEqual>},
}};

}  // namespace

JinjaTest find_jinja_test(std::string_view name) {
  const auto found = std::ranges::find(kTests, name, &JinjaNamed<JinjaTest>::name);
  return found == kTests.end() ? nullptr : found->function;
}

}  // namespace graft
