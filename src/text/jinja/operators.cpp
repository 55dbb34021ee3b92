#include <algorithm>
#include <cmath>

#include "text/jinja/library.h"

// Arithmetic and order as Python has them.

namespace graft {
namespace {

using Op = JinjaOperator;
using Kind = JinjaSequence::Kind;

std::string_view symbol(Op op) {
  switch (op) {
    case Op::kAdd:
      return "+";
    case Op::kSubtract:
      return "-";
    case Op::kMultiply:
      return "*";
    case Op::kDivide:
      return "/";
    case Op::kFloorDivide:
      return "//";
    case Op::kModulo:
      return "%";
    case Op::kPower:
      return "**";
    case Op::kLess:
      return "<";
    case Op::kLessEqual:
      return "<=";
    case Op::kGreater:
      return ">";
    case Op::kGreaterEqual:
      return ">=";
    default:
      return "==";
  }
}

[[noreturn]] void fail_types(const JinjaRuntime& runtime, Op op, const JinjaValue& left,
                             const JinjaValue& right) {
  runtime.want_defined(left);
  runtime.want_defined(right);
  runtime.fail("unsupported operand types for ", symbol(op), ": '", left.type_name(), "' and '",
               right.type_name(), "'");
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return (a % b != 0 && (a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

JinjaValue integer_power(const JinjaRuntime& runtime, std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) runtime.fail("0 cannot be raised to a negative power");
    return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  }
  std::int64_t result = 1;
  for (bool overflow = false; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) overflow |= __builtin_mul_overflow(result, base, &result);
    if (exponent > 1) overflow |= __builtin_mul_overflow(base, base, &base);
    if (overflow) runtime.fail("an integer that does not fit 64 bits");
  }
  return result;
}

JinjaValue integer_arithmetic(const JinjaRuntime& runtime, Op op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  const bool divides = op == Op::kDivide || op == Op::kFloorDivide || op == Op::kModulo;
  if (divides && b == 0) runtime.fail("division by zero");
  if (divides && a == INT64_MIN && b == -1) runtime.fail("an integer that does not fit 64 bits");
  switch (op) {
    case Op::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case Op::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case Op::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case Op::kDivide:
      return static_cast<double>(a) / static_cast<double>(b);
    case Op::kFloorDivide:
      return floor_divide(a, b);
    case Op::kModulo:
      return a - b * floor_divide(a, b);
    default:
      return integer_power(runtime, a, b);
  }
  if (overflow) runtime.fail("an integer that does not fit 64 bits");
  return result;
}

JinjaValue float_arithmetic(const JinjaRuntime& runtime, Op op, double a, double b) {
  const bool divides = op == Op::kDivide || op == Op::kFloorDivide || op == Op::kModulo;
  if (divides && b == 0) runtime.fail("division by zero");
  switch (op) {
    case Op::kAdd:
      return a + b;
    case Op::kSubtract:
      return a - b;
    case Op::kMultiply:
      return a * b;
    case Op::kDivide:
      return a / b;
    case Op::kFloorDivide:
      return std::floor(a / b);
    case Op::kModulo: {
      const double rest = std::fmod(a, b);
      return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
    default:
      return std::pow(a, b);
  }
}

JinjaValue add_texts(JinjaRuntime& runtime, const JinjaValue& left, const JinjaValue& right) {
  runtime.charge(left.as_string().size() + right.as_string().size());
  if (left.is_markup() == right.is_markup())
    return JinjaValue(left.as_string() + right.as_string(), left.is_markup());
  const auto safe = [](const JinjaValue& text) {
    return text.is_markup() ? text.as_string() : jinja_escape(text.as_string());
  };
  return JinjaValue(safe(left) + safe(right), true);
}

JinjaValue add_sequences(JinjaRuntime& runtime, const JinjaSequence& left, const JinjaSequence& right) {
  constexpr std::size_t kPerItem = 32;
  runtime.charge(kPerItem * (left.items.size() + right.items.size()));
  std::vector<JinjaValue> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  return left.kind == Kind::kTuple ? JinjaValue::tuple(std::move(items)) : JinjaValue::list(std::move(items));
}

bool is_list_or_tuple(const JinjaSequence* sequence) {
  return sequence != nullptr && (sequence->kind == Kind::kList || sequence->kind == Kind::kTuple);
}

// times * a string, list or tuple.
JinjaValue repeat(JinjaRuntime& runtime, const JinjaValue& value, std::int64_t times) {
  const std::size_t weight =
      value.is_string() ? value.as_string().size() : 32 * value.sequence()->items.size();
  const std::size_t count = times > 0 ? static_cast<std::size_t>(times) : 0;
  if (weight == 0 || count == 0)
    return value.is_string()
               ? JinjaValue("")
               : runtime.slice(value, JinjaValue(std::int64_t{0}), JinjaValue(std::int64_t{0}), {});
  if (count > runtime.limits().work / weight) runtime.fail("a value that is too large");
  runtime.charge(weight * count);
  if (value.is_string()) {
    std::string text;
    text.reserve(weight * count);
    for (std::size_t i = 0; i < count; ++i) text += value.as_string();
    return JinjaValue(std::move(text), value.is_markup());
  }
  std::vector<JinjaValue> items;
  for (std::size_t i = 0; i < count; ++i)
    items.insert(items.end(), value.sequence()->items.begin(), value.sequence()->items.end());
  return value.sequence()->kind == Kind::kTuple ? JinjaValue::tuple(std::move(items))
                                                : JinjaValue::list(std::move(items));
}

std::optional<bool> order_of_sequences(JinjaRuntime& runtime, const JinjaSequence& left,
                                       const JinjaSequence& right) {
  if (left.kind != right.kind || !is_list_or_tuple(&left)) return std::nullopt;
  const std::size_t both = std::min(left.items.size(), right.items.size());
  for (std::size_t i = 0; i < both; ++i)
    if (!jinja_equal(left.items[i], right.items[i]))
      return jinja_less(runtime, left.items[i], right.items[i]);
  return left.items.size() < right.items.size();
}

}  // namespace

JinjaValue jinja_arithmetic(JinjaRuntime& runtime, JinjaOperator op, const JinjaValue& left,
                            const JinjaValue& right) {
  if (left.is_number() && right.is_number()) {
    const auto a = left.integer(), b = right.integer();
    return a && b ? integer_arithmetic(runtime, op, *a, *b)
                  : float_arithmetic(runtime, op, *left.number(), *right.number());
  }
  if (op == Op::kAdd && left.is_string() && right.is_string()) return add_texts(runtime, left, right);
  if (op == Op::kAdd && is_list_or_tuple(left.sequence()) && is_list_or_tuple(right.sequence()) &&
      left.sequence()->kind == right.sequence()->kind)
    return add_sequences(runtime, *left.sequence(), *right.sequence());
  const auto repeats = [](const JinjaValue& value) {
    return value.is_string() || is_list_or_tuple(value.sequence());
  };
  if (op == Op::kMultiply && repeats(left) && right.integer()) return repeat(runtime, left, *right.integer());
  if (op == Op::kMultiply && repeats(right) && left.integer()) return repeat(runtime, right, *left.integer());
  if (op == Op::kModulo && left.is_string() && !right.is_undefined()) {
    const JinjaSequence* tuple = right.sequence();
    const bool several = tuple != nullptr && tuple->kind == Kind::kTuple;
    return jinja_percent_format(runtime, left.as_string(),
                                several ? tuple->items : std::vector<JinjaValue>{right});
  }
  fail_types(runtime, op, left, right);
}

bool jinja_less(JinjaRuntime& runtime, const JinjaValue& left, const JinjaValue& right) {
  if (left.is_number() && right.is_number()) {
    const auto a = left.integer(), b = right.integer();
    return a && b ? *a < *b : *left.number() < *right.number();
  }
  if (left.is_string() && right.is_string()) {
    runtime.charge(std::min(left.as_string().size(), right.as_string().size()));
    return left.as_string() < right.as_string();  // bytes of UTF-8 sort as its characters do
  }
  if (left.sequence() != nullptr && right.sequence() != nullptr) {
    runtime.charge(std::min(left.weight(), right.weight()));
    if (const auto order = order_of_sequences(runtime, *left.sequence(), *right.sequence())) return *order;
  }
  fail_types(runtime, Op::kLess, left, right);
}

bool jinja_compare(JinjaRuntime& runtime, JinjaOperator op, const JinjaValue& left, const JinjaValue& right) {
  switch (op) {
    case Op::kEqual:
    case Op::kUnequal:
      runtime.charge(std::min(left.weight(), right.weight()));
      return jinja_equal(left, right) == (op == Op::kEqual);
    case Op::kLess:
      return jinja_less(runtime, left, right);
    case Op::kGreater:
      return jinja_less(runtime, right, left);
    // A NaN is neither less nor equal, so `not right < left` will not do.
    case Op::kLessEqual:
      return jinja_less(runtime, left, right) || jinja_compare(runtime, Op::kEqual, left, right);
    case Op::kGreaterEqual:
      return jinja_less(runtime, right, left) || jinja_compare(runtime, Op::kEqual, left, right);
    case Op::kIn:
      return jinja_contains(runtime, right, left);
    default:
      return !jinja_contains(runtime, right, left);
  }
}

bool jinja_contains(JinjaRuntime& runtime, const JinjaValue& whole, const JinjaValue& part) {
  if (whole.is_undefined()) return false;
  runtime.charge(whole.weight());
  if (whole.is_string()) {
    runtime.want_defined(part);
    if (!part.is_string())
      runtime.fail("'in <string>' requires a string as its left operand, not ", part.type_name());
    runtime.charge_search(whole.as_string(), part.as_string());
    return whole.as_string().find(part.as_string()) != std::string::npos;
  }
  if (const JinjaDict* dict = whole.dict()) {
    if (!is_hashable(part)) runtime.fail("unhashable type: '", part.type_name(), "'");
    return dict->find(part) != nullptr;
  }
  if (whole.sequence() == nullptr) runtime.fail("argument of type '", whole.type_name(), "' is not iterable");
  return std::ranges::any_of(runtime.items(whole),
                             [&](const JinjaValue& item) { return jinja_equal(item, part); });
}

JinjaValue jinja_negative(JinjaRuntime& runtime, const JinjaValue& value) {
  runtime.want_defined(value);
  if (const auto whole = value.integer()) return integer_arithmetic(runtime, Op::kSubtract, 0, *whole);
  if (!value.is_float()) runtime.fail("bad operand type for -: '", value.type_name(), "'");
  return -value.as_float();
}

}  // namespace graft
