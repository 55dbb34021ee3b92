#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/source.h"
#include "text/jinja/value.h"

namespace graft {

enum class JinjaOperator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kUnequal,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

/// An expression. What the parts are is said at each kind; a part that may be left out is null.
struct JinjaExpression {
  enum class Kind {
    kConstant,     ///< value
    kName,         ///< name
    kAttribute,    ///< parts[0] . name
    kItem,         ///< parts[0] [ parts[1] ]
    kSlice,        ///< begin : end : step, each may be null; only as parts[1] of kItem
    kCall,         ///< parts[0] ( positional…, keywords, star, double_star )
    kFilter,       ///< parts[0] | name ( … ); parts[0] is null in {% filter %} and {% set x | … %}
    kTest,         ///< parts[0] is name ( … )
    kList,         ///< parts
    kTuple,        ///< parts
    kDict,         ///< key, value, key, value …
    kNot,          ///< parts[0]
    kNegative,     ///< parts[0]
    kPositive,     ///< parts[0]
    kArithmetic,   ///< parts[0] operators[0] parts[1]
    kCompare,      ///< parts[0] operators[0] parts[1] operators[1] parts[2] …
    kConcat,       ///< parts with ~ between
    kAnd,          ///< parts[0], parts[1]
    kOr,           ///< parts[0], parts[1]
    kConditional,  ///< parts[1] if parts[0] else parts[2]; parts[2] may be null
    kMember,       ///< a target: attribute name of the namespace `value`
  };
  Kind kind;
  std::size_t at;  ///< byte of the source
  std::string name;
  JinjaValue value;
  std::vector<const JinjaExpression*> parts;
  std::vector<JinjaOperator> operators;
  std::vector<const JinjaExpression*> positional;
  std::vector<std::pair<std::string, const JinjaExpression*>> keywords;
  const JinjaExpression* star = nullptr;
  const JinjaExpression* double_star = nullptr;
};

struct JinjaStatement;
using JinjaBody = std::vector<const JinjaStatement*>;

/// The parameters of a macro or a call block.
struct JinjaSignature {
  std::vector<std::string> names;
  std::vector<const JinjaExpression*> defaults;  ///< as long as names; null where there is none
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;  ///< what its body reads
};

struct JinjaStatement {
  enum class Kind {
    kText,        ///< text
    kOutput,      ///< expression
    kSet,         ///< target = expression
    kSetBlock,    ///< target = what body writes, through the filters of `expression` where it has some
    kIf,          ///< expression, body, otherwise (an elif is a kIf in otherwise)
    kFor,         ///< for target in expression if condition: body; otherwise
    kMacro,       ///< text = name, signature, body
    kCallBlock,   ///< expression (a call) with body as its caller
    kFilter,      ///< body through the filters of `expression`
    kGeneration,  ///< body is what the assistant wrote
    kWith,        ///< targets = values in pairs; body
    kScope,       ///< body in a scope of its own (block, autoescape)
    kBreak,
    kContinue,
  };
  Kind kind;
  std::size_t at;
  std::string text;
  const JinjaExpression* target = nullptr;
  const JinjaExpression* expression = nullptr;
  const JinjaExpression* condition = nullptr;
  std::vector<std::pair<const JinjaExpression*, const JinjaExpression*>> pairs;
  JinjaSignature signature;
  JinjaBody body, otherwise;
};

/// A parsed template. Owns all nodes, which refer to each other.
struct JinjaSyntax {
  explicit JinjaSyntax(JinjaSource template_source) : source(std::move(template_source)) {}
  JinjaSyntax(const JinjaSyntax&) = delete;

  JinjaSource source;
  std::deque<JinjaExpression> expressions;
  std::deque<JinjaStatement> statements;
  JinjaBody body;
  bool has_generation = false;  ///< holds a {% generation %} block
};

/// Fills `syntax` from its source. Errors with line and column: what jinja2 does not parse, tags that need
/// other files (include, import, extends), nesting deeper than 150.
void parse_jinja(JinjaSyntax& syntax);

}  // namespace graft
