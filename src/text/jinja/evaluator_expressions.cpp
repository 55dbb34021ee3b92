#include "text/jinja/evaluator.h"
#include "text/jinja/library.h"

namespace graft {
namespace {

using Kind = JinjaExpression::Kind;

}  // namespace

JinjaValue JinjaEvaluator::evaluate(const JinjaExpression& expression) {
  const Level level(*this, expression.at);
  JinjaValue value = evaluate_kind(expression);
  runtime_.check_size(value);
  return value;
}

JinjaValue JinjaEvaluator::evaluate_kind(const JinjaExpression& expression) {
  const auto part = [&](std::size_t i) { return evaluate(*expression.parts[i]); };
  switch (expression.kind) {
    case Kind::kConstant:
      return expression.value;
    case Kind::kName:
      return name(expression);
    case Kind::kAttribute:
      return attribute(expression);
    case Kind::kItem:
      return item(expression);
    case Kind::kCall:
      return call(expression);
    case Kind::kFilter:
      return filter(expression, nullptr);
    case Kind::kTest: {
      const JinjaValue value = part(0);
      const JinjaArguments given = arguments(expression);
      runtime_.stand_at(expression.at);
      return runtime_.test(expression.name, value, given);
    }
    case Kind::kList:
      return JinjaValue::list(evaluate_all(expression.parts));
    case Kind::kTuple:
      return JinjaValue::tuple(evaluate_all(expression.parts));
    case Kind::kDict:
      return dict(expression);
    case Kind::kNot:
      return !part(0).truth();
    case Kind::kNegative:
    case Kind::kPositive: {
      const JinjaValue value = part(0);
      runtime_.stand_at(expression.at);
      const JinjaValue negative = jinja_negative(runtime_, value);
      return expression.kind == Kind::kNegative ? negative : jinja_negative(runtime_, negative);
    }
    case Kind::kArithmetic:
      return arithmetic(expression);
    case Kind::kCompare:
      return compare(expression);
    case Kind::kConcat:
      return concat(expression);
    case Kind::kAnd: {
      const JinjaValue left = part(0);
      return left.truth() ? part(1) : left;
    }
    case Kind::kOr: {
      const JinjaValue left = part(0);
      return left.truth() ? left : part(1);
    }
    case Kind::kConditional:
      return conditional(expression);
    case Kind::kSlice:
    case Kind::kMember:
      break;  // parts of others, never evaluated alone
  }
  return {};
}

std::vector<JinjaValue> JinjaEvaluator::evaluate_all(const std::vector<const JinjaExpression*>& parts) {
  std::vector<JinjaValue> values;
  values.reserve(parts.size());
  for (const JinjaExpression* part : parts) values.push_back(evaluate(*part));
  return values;
}

JinjaValue JinjaEvaluator::name(const JinjaExpression& expression) {
  if (const JinjaValue* found = scope_->find(expression.name)) return *found;
  return jinja_function(runtime_, expression.name);
}

JinjaValue JinjaEvaluator::attribute(const JinjaExpression& expression) {
  const JinjaValue value = evaluate(*expression.parts[0]);
  runtime_.stand_at(expression.at);
  return runtime_.attribute(value, expression.name);
}

JinjaValue JinjaEvaluator::item(const JinjaExpression& expression) {
  const JinjaValue value = evaluate(*expression.parts[0]);
  const JinjaExpression& key = *expression.parts[1];
  if (key.kind != Kind::kSlice) {
    const JinjaValue at = evaluate(key);
    runtime_.stand_at(expression.at);
    return runtime_.item(value, at);
  }
  const auto bound = [&](std::size_t i) { return key.parts[i] ? evaluate(*key.parts[i]) : JinjaValue(); };
  const JinjaValue begin = bound(0), end = bound(1), step = bound(2);
  runtime_.stand_at(expression.at);
  return runtime_.slice(value, begin, end, step);
}

JinjaArguments JinjaEvaluator::arguments(const JinjaExpression& expression) {
  JinjaArguments given;
  given.positional = evaluate_all(expression.positional);
  for (const auto& [name, value] : expression.keywords) given.keywords.emplace_back(name, evaluate(*value));
  if (expression.star != nullptr) {
    const JinjaValue more = evaluate(*expression.star);
    for (JinjaValue& value : runtime_.items(more)) given.positional.push_back(std::move(value));
  }
  if (expression.double_star != nullptr) {
    const JinjaValue more = evaluate(*expression.double_star);
    if (more.dict() == nullptr) runtime_.fail("`**` wants a mapping, got a ", more.type_name());
    for (const auto& [key, value] : more.dict()->members)
      given.keywords.emplace_back(runtime_.want_string(key, "`**`"), value);
  }
  return given;
}

// A method is called where its value is, without a value for the method itself.
JinjaValue JinjaEvaluator::call(const JinjaExpression& expression, const JinjaValue* caller) {
  const JinjaExpression& callee = *expression.parts[0];
  const bool is_method = callee.kind == Kind::kAttribute;
  const JinjaValue value = evaluate(is_method ? *callee.parts[0] : callee);
  JinjaArguments given = arguments(expression);
  if (caller != nullptr) given.keywords.emplace_back("caller", *caller);
  runtime_.stand_at(expression.at);
  return is_method ? runtime_.call_method(value, callee.name, given) : runtime_.call(value, given);
}

JinjaValue JinjaEvaluator::filter(const JinjaExpression& expression, const JinjaValue* start) {
  const JinjaExpression* inner = expression.parts[0];
  JinjaValue value;
  if (inner == nullptr)
    value = *start;
  else if (start != nullptr && inner->kind == Kind::kFilter)
    value = filter(*inner, start);
  else
    value = evaluate(*inner);
  const JinjaArguments given = arguments(expression);
  runtime_.stand_at(expression.at);
  return runtime_.filter(expression.name, value, given);
}

JinjaValue JinjaEvaluator::dict(const JinjaExpression& expression) {
  JinjaValue::Members members;
  for (std::size_t i = 0; i + 1 < expression.parts.size(); i += 2) {
    JinjaValue key = evaluate(*expression.parts[i]);
    if (!is_hashable(key)) runtime_.fail("unhashable type: '", key.type_name(), "'");
    members.emplace_back(std::move(key), evaluate(*expression.parts[i + 1]));
  }
  runtime_.charge(members.size() * members.size());  // keys are compared with each other
  return JinjaValue::dict(std::move(members));
}

JinjaValue JinjaEvaluator::arithmetic(const JinjaExpression& expression) {
  const JinjaValue left = evaluate(*expression.parts[0]), right = evaluate(*expression.parts[1]);
  runtime_.stand_at(expression.at);
  return jinja_arithmetic(runtime_, expression.operators[0], left, right);
}

JinjaValue JinjaEvaluator::compare(const JinjaExpression& expression) {
  JinjaValue left = evaluate(*expression.parts[0]);
  for (std::size_t i = 0; i < expression.operators.size(); ++i) {
    JinjaValue right = evaluate(*expression.parts[i + 1]);
    runtime_.stand_at(expression.at);
    if (!jinja_compare(runtime_, expression.operators[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

JinjaValue JinjaEvaluator::concat(const JinjaExpression& expression) {
  std::string text;
  for (const JinjaExpression* part : expression.parts) text += runtime_.text(evaluate(*part));
  return JinjaValue(std::move(text));
}

JinjaValue JinjaEvaluator::conditional(const JinjaExpression& expression) {
  if (evaluate(*expression.parts[0]).truth()) return evaluate(*expression.parts[1]);
  if (expression.parts[2] != nullptr) return evaluate(*expression.parts[2]);
  return JinjaValue::undefined("the inline if-expression evaluated to false and has no else part");
}

}  // namespace graft
