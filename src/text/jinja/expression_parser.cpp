#include "text/jinja/expression_parser.h"

#include <array>
#include <charconv>

namespace graft {
namespace {

using Kind = JinjaExpression::Kind;
using TokenKind = JinjaToken::Kind;

constexpr int kMaxLevel = 150;

struct Comparison {
  std::string_view word;
  JinjaOperator op;
};
constexpr std::array<Comparison, 6> kComparisons = {{{"==", JinjaOperator::kEqual},
                                                     {"!=", JinjaOperator::kUnequal},
                                                     {"<", JinjaOperator::kLess},
                                                     {"<=", JinjaOperator::kLessEqual},
                                                     {">", JinjaOperator::kGreater},
                                                     {">=", JinjaOperator::kGreaterEqual}}};

}  // namespace

JinjaExpressionParser::Level::Level(JinjaExpressionParser& parser) : parser_(parser) {
  if (parser_.level_ >= kMaxLevel) parser_.stream_.fail_here("nested too deeply");
  ++parser_.level_;
}

JinjaExpression& JinjaExpressionParser::add(Kind kind, std::size_t at) {
  JinjaExpression& node = syntax_.expressions.emplace_back();
  node.kind = kind;
  node.at = at;
  return node;
}

const JinjaExpression* JinjaExpressionParser::expression(Condition condition) {
  const Level level(*this);
  const std::size_t at = stream_.now().at;
  const JinjaExpression* result = disjunction();
  while (condition == Condition::kAllowed && stream_.skip_name("if")) {
    const JinjaExpression* test = disjunction();
    const JinjaExpression* otherwise = stream_.skip_name("else") ? expression() : nullptr;
    JinjaExpression& node = add(Kind::kConditional, at);
    node.parts = {test, result, otherwise};
    result = &node;
  }
  return result;
}

const JinjaExpression* JinjaExpressionParser::disjunction() {
  const std::size_t at = stream_.now().at;
  const JinjaExpression* left = conjunction();
  while (stream_.skip_name("or")) {
    const JinjaExpression* right = conjunction();
    JinjaExpression& node = add(Kind::kOr, at);
    node.parts = {left, right};
    left = &node;
  }
  return left;
}

const JinjaExpression* JinjaExpressionParser::conjunction() {
  const std::size_t at = stream_.now().at;
  const JinjaExpression* left = negation();
  while (stream_.skip_name("and")) {
    const JinjaExpression* right = negation();
    JinjaExpression& node = add(Kind::kAnd, at);
    node.parts = {left, right};
    left = &node;
  }
  return left;
}

const JinjaExpression* JinjaExpressionParser::negation() {
  if (!stream_.at_name("not")) return comparison();
  const Level level(*this);
  const std::size_t at = stream_.take().at;
  const JinjaExpression* operand = negation();
  JinjaExpression& node = add(Kind::kNot, at);
  node.parts = {operand};
  return &node;
}

const JinjaExpression* JinjaExpressionParser::comparison() {
  const std::size_t at = stream_.now().at;
  const JinjaExpression* first = sum();
  std::vector<const JinjaExpression*> parts = {first};
  std::vector<JinjaOperator> operators;
  const auto next_operator = [&]() -> std::optional<JinjaOperator> {
    for (const Comparison& comparison : kComparisons)
      if (stream_.skip_operator(comparison.word)) return comparison.op;
    if (stream_.skip_name("in")) return JinjaOperator::kIn;
    if (!stream_.at_name("not") || !stream_.next_is_name("in")) return std::nullopt;
    stream_.take();
    stream_.take();
    return JinjaOperator::kNotIn;
  };
  while (const auto op = next_operator()) {
    operators.push_back(*op);
    parts.push_back(sum());
  }
  if (operators.empty()) return first;
  JinjaExpression& node = add(Kind::kCompare, at);
  node.parts = std::move(parts);
  node.operators = std::move(operators);
  return &node;
}

const JinjaExpression* JinjaExpressionParser::arithmetic(const JinjaExpression* left, JinjaOperator op,
                                                         const JinjaExpression* right, std::size_t at) {
  JinjaExpression& node = add(Kind::kArithmetic, at);
  node.parts = {left, right};
  node.operators = {op};
  return &node;
}

const JinjaExpression* JinjaExpressionParser::sum() {
  const JinjaExpression* left = concatenation();
  while (stream_.at_operator("+") || stream_.at_operator("-")) {
    const JinjaToken& token = stream_.take();
    const auto op = token.text == "+" ? JinjaOperator::kAdd : JinjaOperator::kSubtract;
    const std::size_t at = token.at;
    left = arithmetic(left, op, concatenation(), at);
  }
  return left;
}

const JinjaExpression* JinjaExpressionParser::concatenation() {
  const std::size_t at = stream_.now().at;
  const JinjaExpression* first = product();
  if (!stream_.at_operator("~")) return first;
  std::vector<const JinjaExpression*> parts = {first};
  while (stream_.skip_operator("~")) parts.push_back(product());
  JinjaExpression& node = add(Kind::kConcat, at);
  node.parts = std::move(parts);
  return &node;
}

const JinjaExpression* JinjaExpressionParser::product() {
  static constexpr std::array<std::pair<std::string_view, JinjaOperator>, 4> kProducts = {
      {{"*", JinjaOperator::kMultiply},
       {"/", JinjaOperator::kDivide},
       {"//", JinjaOperator::kFloorDivide},
       {"%", JinjaOperator::kModulo}}};
  const JinjaExpression* left = power();
  for (bool found = true; found;) {
    found = false;
    for (const auto& [word, op] : kProducts) {
      const std::size_t at = stream_.now().at;
      if (!stream_.skip_operator(word)) continue;
      left = arithmetic(left, op, power(), at);
      found = true;
    }
  }
  return left;
}

// Left-associative, unlike Python's.
const JinjaExpression* JinjaExpressionParser::power() {
  const JinjaExpression* left = unary();
  while (stream_.at_operator("**")) {
    const std::size_t at = stream_.take().at;
    left = arithmetic(left, JinjaOperator::kPower, unary(), at);
  }
  return left;
}

const JinjaExpression* JinjaExpressionParser::unary(bool with_filters) {
  const JinjaExpression* node = nullptr;
  if (stream_.at_operator("-") || stream_.at_operator("+")) {
    const Level level(*this);
    const JinjaToken& token = stream_.take();
    const Kind kind = token.text == "-" ? Kind::kNegative : Kind::kPositive;
    const std::size_t at = token.at;
    const JinjaExpression* operand = unary(false);
    JinjaExpression& sign = add(kind, at);
    sign.parts = {operand};
    node = &sign;
  } else {
    node = primary();
  }
  node = postfix(node);
  return with_filters ? filtered(node) : node;
}

const JinjaExpression* JinjaExpressionParser::primary() {
  const JinjaToken& token = stream_.now();
  if (token.kind == TokenKind::kString) return text();
  if (token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat) return number();
  if (stream_.at_operator("(")) return parenthesised();
  if (stream_.at_operator("[")) return list();
  if (stream_.at_operator("{")) return dict();
  if (token.kind != TokenKind::kName) stream_.fail_here("expected an expression, got " + stream_.describe());
  stream_.take();
  const std::string& name = token.text;
  const bool truth = name == "true" || name == "True";
  const bool nothing = name == "none" || name == "None";
  if (truth || nothing || name == "false" || name == "False") {
    JinjaExpression& node = add(Kind::kConstant, token.at);
    if (!nothing) node.value = truth;
    return &node;
  }
  JinjaExpression& node = add(Kind::kName, token.at);
  node.name = name;
  if (on_name) on_name(name);
  return &node;
}

const JinjaExpression* JinjaExpressionParser::text() {
  JinjaExpression& node = add(Kind::kConstant, stream_.now().at);
  std::string value;
  while (stream_.at(TokenKind::kString)) value += stream_.take().text;  // neighbours are one string
  node.value = std::move(value);
  return &node;
}

const JinjaExpression* JinjaExpressionParser::number() {
  const JinjaToken& token = stream_.take();
  JinjaExpression& node = add(Kind::kConstant, token.at);
  const char *begin = token.text.data(), *end = begin + token.text.size();
  if (token.kind == TokenKind::kFloat) {
    double value = 0;
    const auto result = std::from_chars(begin, end, value);
    if (result.ec != std::errc()) stream_.fail_at(token.at, "a number out of range");
    node.value = value;
    return &node;
  }
  std::int64_t value = 0;
  const auto result = std::from_chars(begin, end, value);
  if (result.ec != std::errc()) stream_.fail_at(token.at, "an integer that does not fit 64 bits");
  if (token.text.size() > 1 && token.text[0] == '0' && value != 0)
    stream_.fail_at(token.at, "an integer that starts with 0");
  node.value = value;
  return &node;
}

const JinjaExpression* JinjaExpressionParser::parenthesised() {
  const Level level(*this);
  const std::size_t at = stream_.take().at;
  if (stream_.skip_operator(")")) return &add(Kind::kTuple, at);
  const JinjaExpression* inside = tuple();
  stream_.want_operator(")");
  return inside;
}

const JinjaExpression* JinjaExpressionParser::list() {
  const std::size_t at = stream_.take().at;
  std::vector<const JinjaExpression*> parts;
  while (!stream_.at_operator("]")) {
    parts.push_back(expression());
    if (!stream_.at_operator("]")) stream_.want_operator(",");
  }
  stream_.take();
  JinjaExpression& node = add(Kind::kList, at);
  node.parts = std::move(parts);
  return &node;
}

const JinjaExpression* JinjaExpressionParser::dict() {
  const std::size_t at = stream_.take().at;
  std::vector<const JinjaExpression*> parts;
  while (!stream_.at_operator("}")) {
    parts.push_back(expression());
    stream_.want_operator(":");
    parts.push_back(expression());
    if (!stream_.at_operator("}")) stream_.want_operator(",");
  }
  stream_.take();
  JinjaExpression& node = add(Kind::kDict, at);
  node.parts = std::move(parts);
  return &node;
}

bool JinjaExpressionParser::ends_tuple(std::string_view stop) const {
  return stream_.at(TokenKind::kOutputEnd) || stream_.at(TokenKind::kBlockEnd) || stream_.at_operator(")") ||
         (!stop.empty() && stream_.at_name(stop));
}

const JinjaExpression* JinjaExpressionParser::tuple(Condition condition, std::string_view stop) {
  const std::size_t at = stream_.now().at;
  const JinjaExpression* first = expression(condition);
  if (!stream_.at_operator(",")) return first;
  std::vector<const JinjaExpression*> parts = {first};
  while (stream_.skip_operator(",") && !ends_tuple(stop)) parts.push_back(expression(condition));
  JinjaExpression& node = add(Kind::kTuple, at);
  node.parts = std::move(parts);
  return &node;
}

const JinjaExpression* JinjaExpressionParser::single_target(bool members) {
  if (stream_.at_operator("(")) {
    const Level level(*this);
    stream_.take();
    const JinjaExpression* inside = target("", members);
    stream_.want_operator(")");
    return inside;
  }
  const JinjaToken& token = stream_.want(TokenKind::kName, "a name to assign to");
  static constexpr std::array<std::string_view, 6> kConstants = {"true",  "True", "false",
                                                                 "False", "none", "None"};
  for (const std::string_view constant : kConstants)
    if (token.text == constant) stream_.fail_at(token.at, "cannot assign to `" + token.text + "`");
  const bool is_member = members && stream_.skip_operator(".");
  JinjaExpression& node = add(is_member ? Kind::kMember : Kind::kName, token.at);
  node.name = token.text;
  if (!is_member) return &node;
  node.value = token.text;
  node.name = stream_.want(TokenKind::kName, "a name").text;
  return &node;
}

const JinjaExpression* JinjaExpressionParser::target(std::string_view stop, bool members) {
  const std::size_t at = stream_.now().at;
  const JinjaExpression* first = single_target(members);
  if (!stream_.at_operator(",")) return first;
  std::vector<const JinjaExpression*> parts = {first};
  while (stream_.skip_operator(",") && !ends_tuple(stop) && !stream_.at_operator("="))
    parts.push_back(single_target(members));
  JinjaExpression& node = add(Kind::kTuple, at);
  node.parts = std::move(parts);
  return &node;
}

}  // namespace graft
