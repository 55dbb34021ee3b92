#include <algorithm>
#include <charconv>

#include "text/jinja/expression_parser.h"

// What stands behind an expression: attributes, items, calls, filters, tests.

namespace graft {
namespace {

using Kind = JinjaExpression::Kind;
using TokenKind = JinjaToken::Kind;

}  // namespace

const JinjaExpression* JinjaExpressionParser::postfix(const JinjaExpression* node) {
  for (int links = 0;; ++links) {
    constexpr int kMaxLinks = 100;
    if (links > kMaxLinks) stream_.fail_here("nested too deeply");
    if (stream_.at_operator("."))
      node = attribute(node);
    else if (stream_.at_operator("["))
      node = item(node);
    else if (stream_.at_operator("("))
      node = call(node);
    else
      return node;
  }
}

const JinjaExpression* JinjaExpressionParser::filtered(const JinjaExpression* node) {
  for (;;) {
    if (stream_.at_operator("|"))
      node = filter(node);
    else if (stream_.at_name("is"))
      node = test(node);
    else if (stream_.at_operator("("))
      node = call(node);
    else
      return node;
  }
}

const JinjaExpression* JinjaExpressionParser::attribute(const JinjaExpression* node) {
  const std::size_t at = stream_.take().at;
  if (stream_.at(TokenKind::kInteger)) {
    const JinjaExpression* index = number();
    JinjaExpression& result = add(Kind::kItem, at);
    result.parts = {node, index};
    return &result;
  }
  const JinjaToken& name = stream_.want(TokenKind::kName, "a name or a number");
  JinjaExpression& result = add(Kind::kAttribute, at);
  result.parts = {node};
  result.name = name.text;
  return &result;
}

const JinjaExpression* JinjaExpressionParser::item(const JinjaExpression* node) {
  const std::size_t at = stream_.take().at;
  std::vector<const JinjaExpression*> keys;
  while (!stream_.at_operator("]")) {
    if (!keys.empty()) stream_.want_operator(",");
    keys.push_back(subscript());
  }
  stream_.take();
  const bool slices = std::ranges::any_of(keys, [](const auto* key) { return key->kind == Kind::kSlice; });
  if (keys.empty() || (slices && keys.size() > 1)) stream_.fail_at(at, "a subscript that is none");
  const JinjaExpression* key = keys[0];
  if (keys.size() > 1) {
    JinjaExpression& several = add(Kind::kTuple, at);
    several.parts = std::move(keys);
    key = &several;
  }
  JinjaExpression& result = add(Kind::kItem, at);
  result.parts = {node, key};
  return &result;
}

const JinjaExpression* JinjaExpressionParser::subscript() {
  const std::size_t at = stream_.now().at;
  const auto ends = [&] {
    return stream_.at_operator(":") || stream_.at_operator("]") || stream_.at_operator(",");
  };
  const JinjaExpression* begin = stream_.at_operator(":") ? nullptr : expression();
  if (!stream_.skip_operator(":")) return begin;
  const JinjaExpression* end = ends() ? nullptr : expression();
  const JinjaExpression* step = stream_.skip_operator(":") && !ends() ? expression() : nullptr;
  JinjaExpression& slice = add(Kind::kSlice, at);
  slice.parts = {begin, end, step};
  return &slice;
}

const JinjaExpression* JinjaExpressionParser::call(const JinjaExpression* node) {
  JinjaExpression& result = add(Kind::kCall, stream_.now().at);
  result.parts = {node};
  arguments(result);
  return &result;
}

void JinjaExpressionParser::arguments(JinjaExpression& node) {
  const Level level(*this);
  stream_.want_operator("(");
  while (!stream_.at_operator(")")) {
    argument(node);
    if (!stream_.at_operator(")")) stream_.want_operator(",");
  }
  stream_.take();
}

void JinjaExpressionParser::argument(JinjaExpression& node) {
  const auto want_order = [&](bool holds) {
    if (!holds) stream_.fail_here("arguments in an order that a call cannot have");
  };
  if (stream_.skip_operator("*")) {
    want_order(node.star == nullptr && node.double_star == nullptr);
    node.star = expression();
  } else if (stream_.skip_operator("**")) {
    want_order(node.double_star == nullptr);
    node.double_star = expression();
  } else if (stream_.at(TokenKind::kName) && stream_.next_is_operator("=")) {
    want_order(node.double_star == nullptr);
    const std::string name = stream_.take().text;
    stream_.take();
    node.keywords.emplace_back(name, expression());
  } else {
    want_order(node.star == nullptr && node.double_star == nullptr && node.keywords.empty());
    node.positional.push_back(expression());
  }
}

std::string JinjaExpressionParser::dotted_name(std::string_view what) {
  std::string name = stream_.want(TokenKind::kName, what).text;
  while (stream_.skip_operator(".")) name += "." + stream_.want(TokenKind::kName, what).text;
  return name;
}

const JinjaExpression* JinjaExpressionParser::filter(const JinjaExpression* node) {
  stream_.want_operator("|");
  JinjaExpression& result = add(Kind::kFilter, stream_.now().at);
  result.name = dotted_name("the name of a filter");
  result.parts = {node};
  if (stream_.at_operator("(")) arguments(result);
  return &result;
}

const JinjaExpression* JinjaExpressionParser::filters(bool named) {
  const JinjaExpression* node = nullptr;
  if (named) {
    JinjaExpression& first = add(Kind::kFilter, stream_.now().at);
    first.name = dotted_name("the name of a filter");
    first.parts = {nullptr};
    if (stream_.at_operator("(")) arguments(first);
    node = &first;
  }
  while (stream_.at_operator("|")) node = filter(node);
  return node;
}

const JinjaExpression* JinjaExpressionParser::test(const JinjaExpression* node) {
  const std::size_t at = stream_.take().at;
  const bool negated = stream_.skip_name("not");
  JinjaExpression& result = add(Kind::kTest, at);
  result.name = dotted_name("the name of a test");
  result.parts = {node};
  const bool keyword = stream_.at_name("else") || stream_.at_name("or") || stream_.at_name("and");
  const bool operand = stream_.at(TokenKind::kName) || stream_.at(TokenKind::kString) ||
                       stream_.at(TokenKind::kInteger) || stream_.at(TokenKind::kFloat) ||
                       stream_.at_operator("[") || stream_.at_operator("{");
  if (stream_.at_operator("(")) {
    arguments(result);
  } else if (operand && !keyword) {
    if (stream_.at_name("is")) stream_.fail_here("tests cannot be chained with `is`");
    result.positional.push_back(postfix(primary()));
  }
  if (!negated) return &result;
  JinjaExpression& inverse = add(Kind::kNot, at);
  inverse.parts = {&result};
  return &inverse;
}

}  // namespace graft
