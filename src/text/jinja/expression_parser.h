#pragma once

#include <functional>
#include <string>
#include <vector>

#include "text/jinja/syntax.h"
#include "text/jinja/token_stream.h"

namespace graft {

/// Parses the expressions of a template (jinja2/parser.py, parse_expression and below).
class JinjaExpressionParser {
 public:
  JinjaExpressionParser(JinjaSyntax& syntax, JinjaTokenStream& stream) : syntax_(syntax), stream_(stream) {}

  enum class Condition { kAllowed, kNone };
  /// One expression; with kNone `if` ends it.
  const JinjaExpression* expression(Condition condition = Condition::kAllowed);
  /// One expression, or several with commas between as a tuple. Stops before the name `stop`.
  const JinjaExpression* tuple(Condition condition = Condition::kAllowed, std::string_view stop = "");
  /// What can be assigned to: a name, a member of a namespace (where `members`), or a tuple of these.
  const JinjaExpression* target(std::string_view stop, bool members);
  /// "| name(…) | name(…)" over null, or null where none is. With `named` the first "|" is left out.
  const JinjaExpression* filters(bool named);

  /// Called with each name that is read; for what macros need to know.
  std::function<void(const std::string&)> on_name;

  /// Counts one level of nesting while it lives. Error where it is too deep.
  class Level {
   public:
    explicit Level(JinjaExpressionParser& parser);
    ~Level() { --parser_.level_; }
    Level(const Level&) = delete;

   private:
    JinjaExpressionParser& parser_;
  };

 private:
  using Kind = JinjaExpression::Kind;
  JinjaExpression& add(Kind kind, std::size_t at);

  const JinjaExpression* disjunction();
  const JinjaExpression* conjunction();
  const JinjaExpression* negation();
  const JinjaExpression* comparison();
  const JinjaExpression* sum();
  const JinjaExpression* concatenation();
  const JinjaExpression* product();
  const JinjaExpression* power();
  const JinjaExpression* unary(bool with_filters = true);
  const JinjaExpression* primary();
  const JinjaExpression* number();
  const JinjaExpression* text();
  const JinjaExpression* parenthesised();
  const JinjaExpression* list();
  const JinjaExpression* dict();
  const JinjaExpression* postfix(const JinjaExpression* node);
  const JinjaExpression* filtered(const JinjaExpression* node);
  const JinjaExpression* attribute(const JinjaExpression* node);
  const JinjaExpression* item(const JinjaExpression* node);
  const JinjaExpression* subscript();
  const JinjaExpression* call(const JinjaExpression* node);
  const JinjaExpression* filter(const JinjaExpression* node);
  const JinjaExpression* test(const JinjaExpression* node);
  const JinjaExpression* single_target(bool members);
  void arguments(JinjaExpression& node);
  void argument(JinjaExpression& node);
  bool ends_tuple(std::string_view stop) const;
  const JinjaExpression* arithmetic(const JinjaExpression* left, JinjaOperator op,
                                    const JinjaExpression* right, std::size_t at);
  std::string dotted_name(std::string_view what);

  JinjaSyntax& syntax_;
  JinjaTokenStream& stream_;
  int level_ = 0;
};

}  // namespace graft
