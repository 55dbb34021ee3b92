#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/scope.h"
#include "text/jinja/syntax.h"
#include "text/jinja/template.h"

namespace graft {

/// One rendering of a template.
class JinjaEvaluator {
 public:
  JinjaEvaluator(const JinjaSyntax& syntax, const JinjaVariables& variables, const JinjaLimits& limits,
                 const std::tm& now);
  JinjaEvaluator(const JinjaEvaluator&) = delete;
  ~JinjaEvaluator();

  JinjaRendering run();

 private:
  using Scope = std::shared_ptr<JinjaScope>;
  enum class Flow { kNext, kBreak, kContinue };

  /// Counts one level of depth and one step of work while it lives.
  class Level {
   public:
    Level(JinjaEvaluator& evaluator, std::size_t at);
    ~Level() { --evaluator_.level_; }
    Level(const Level&) = delete;

   private:
    JinjaEvaluator& evaluator_;
  };
  /// Makes a scope the current one while it lives.
  class Inside {
   public:
    Inside(JinjaEvaluator& evaluator, Scope scope)
        : evaluator_(evaluator), outer_(std::exchange(evaluator.scope_, std::move(scope))) {}
    ~Inside() { evaluator_.scope_ = std::move(outer_); }
    Inside(const Inside&) = delete;

   private:
    JinjaEvaluator& evaluator_;
    Scope outer_;
  };

  Scope new_scope() { return std::make_shared<JinjaScope>(scope_); }

  Flow execute(const JinjaBody& body);
  Flow execute(const JinjaStatement& statement);
  Flow choose(const JinjaStatement& statement);
  Flow loop(const JinjaStatement& statement);
  void set_block(const JinjaStatement& statement);
  void define_macro(const JinjaStatement& statement);
  void call_block(const JinjaStatement& statement);
  void filter_block(const JinjaStatement& statement);
  void generation(const JinjaStatement& statement);
  Flow with(const JinjaStatement& statement);
  Flow in_new_scope(const JinjaBody& body);
  /// What a body writes, in a scope of its own.
  std::string capture(const JinjaBody& body);
  void write(std::string_view text);
  void assign(const JinjaExpression& target, const JinjaValue& value);
  JinjaValue make_macro(std::string name, const JinjaSignature& signature, const JinjaBody& body);
  JinjaValue call_macro(const std::string& name, const JinjaSignature& signature, const JinjaBody& body,
                        const Scope& closure, const JinjaArguments& arguments);
  void set_parameters(const std::string& name, const JinjaSignature& signature,
                      const JinjaArguments& arguments);
  std::optional<std::size_t> message_in_sight() const;

  JinjaValue evaluate(const JinjaExpression& expression);
  JinjaValue evaluate_kind(const JinjaExpression& expression);
  std::vector<JinjaValue> evaluate_all(const std::vector<const JinjaExpression*>& parts);
  JinjaValue name(const JinjaExpression& expression);
  JinjaValue attribute(const JinjaExpression& expression);
  JinjaValue item(const JinjaExpression& expression);
  JinjaValue call(const JinjaExpression& expression, const JinjaValue* caller = nullptr);
  JinjaValue filter(const JinjaExpression& expression, const JinjaValue* start);
  JinjaValue dict(const JinjaExpression& expression);
  JinjaValue arithmetic(const JinjaExpression& expression);
  JinjaValue compare(const JinjaExpression& expression);
  JinjaValue concat(const JinjaExpression& expression);
  JinjaValue conditional(const JinjaExpression& expression);
  JinjaArguments arguments(const JinjaExpression& expression);

  const JinjaSyntax& syntax_;
  JinjaRuntime runtime_;
  const JinjaValue messages_;  // a list of dicts, or undefined
  Scope scope_;
  std::string output_;
  std::size_t level_ = 0;
  int captures_ = 0;  // bodies whose text does not go to the output directly
  bool in_generation_ = false;
  std::vector<Scope> closures_;
  JinjaRendering rendering_;
};

}  // namespace graft
