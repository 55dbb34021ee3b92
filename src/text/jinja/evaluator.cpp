#include "text/jinja/evaluator.h"

#include <algorithm>

#include "base/text.h"
#include "text/jinja/loop.h"

// Statements. Source: jinja2/compiler.py and runtime.py for scopes, macros and loops.

namespace graft {
namespace {

using Kind = JinjaStatement::Kind;

JinjaValue messages_of(const JinjaVariables& variables) {
  const auto found =
      std::ranges::find_if(variables, [](const auto& entry) { return entry.first == "messages"; });
  return found == variables.end() ? JinjaValue() : found->second;
}

}  // namespace

JinjaEvaluator::Level::Level(JinjaEvaluator& evaluator, std::size_t at) : evaluator_(evaluator) {
  constexpr std::size_t kStep = 32;
  evaluator_.runtime_.stand_at(at);
  evaluator_.runtime_.charge(kStep);
  if (evaluator_.level_ >= evaluator_.runtime_.limits().levels)
    evaluator_.runtime_.fail("nested too deeply (endless recursion?)");
  ++evaluator_.level_;
}

JinjaEvaluator::JinjaEvaluator(const JinjaSyntax& syntax, const JinjaVariables& variables,
                               const JinjaLimits& limits, const std::tm& now)
    : syntax_(syntax),
      runtime_(syntax.source, limits, now),
      messages_(messages_of(variables)),
      scope_(std::make_shared<JinjaScope>(nullptr)) {
  scope_->variables = variables;
}

// Macros hold the scope they were made in, which holds them: taken apart here, one by one.
JinjaEvaluator::~JinjaEvaluator() {
  for (const Scope& closure : closures_) closure->variables.clear();
  runtime_.clear_namespaces();
}

JinjaRendering JinjaEvaluator::run() {
  scope_ = new_scope();
  execute(syntax_.body);
  rendering_.text = std::move(output_);
  return std::move(rendering_);
}

void JinjaEvaluator::write(std::string_view text) {
  if (text.size() > runtime_.limits().output_bytes - std::min(output_.size(), runtime_.limits().output_bytes))
    runtime_.fail("the text grows over ", runtime_.limits().output_bytes, " bytes");
  runtime_.charge(text.size());
  output_ += text;
}

JinjaEvaluator::Flow JinjaEvaluator::execute(const JinjaBody& body) {
  for (const JinjaStatement* statement : body) {
    const Flow flow = execute(*statement);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

JinjaEvaluator::Flow JinjaEvaluator::execute(const JinjaStatement& statement) {
  const Level level(*this, statement.at);
  switch (statement.kind) {
    case Kind::kText:
      write(statement.text);
      return Flow::kNext;
    case Kind::kOutput:
      write(runtime_.text(evaluate(*statement.expression)));
      return Flow::kNext;
    case Kind::kSet:
      assign(*statement.target, evaluate(*statement.expression));
      return Flow::kNext;
    case Kind::kSetBlock:
      set_block(statement);
      return Flow::kNext;
    case Kind::kIf:
      return choose(statement);
    case Kind::kFor:
      return loop(statement);
    case Kind::kMacro:
      define_macro(statement);
      return Flow::kNext;
    case Kind::kCallBlock:
      call_block(statement);
      return Flow::kNext;
    case Kind::kFilter:
      filter_block(statement);
      return Flow::kNext;
    case Kind::kGeneration:
      generation(statement);
      return Flow::kNext;
    case Kind::kWith:
      return with(statement);
    case Kind::kScope:
      return in_new_scope(statement.body);
    case Kind::kBreak:
      return Flow::kBreak;
    case Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

// An `elif` is followed without going deeper: there may be many.
JinjaEvaluator::Flow JinjaEvaluator::choose(const JinjaStatement& first) {
  for (const JinjaStatement* statement = &first;;) {
    if (evaluate(*statement->expression).truth()) return execute(statement->body);
    const JinjaBody& otherwise = statement->otherwise;
    if (otherwise.size() != 1 || otherwise[0]->kind != Kind::kIf) return execute(otherwise);
    statement = otherwise[0];
  }
}

JinjaEvaluator::Flow JinjaEvaluator::loop(const JinjaStatement& statement) {
  const JinjaValue iterated = evaluate(*statement.expression);
  std::vector<JinjaValue> items = runtime_.items(iterated);
  JinjaLoop::Test test;
  if (statement.condition != nullptr)
    test = [this, &statement, outer = scope_](const JinjaValue& item) {
      const Inside inside(*this, std::make_shared<JinjaScope>(outer));
      assign(*statement.target, item);
      return evaluate(*statement.condition).truth();
    };
  const auto state = std::make_shared<JinjaLoop>(runtime_, std::move(items), std::move(test));
  const JinjaValue variable = JinjaLoop::variable(state, iterated.depth());
  bool any = false;
  while (state->advance()) {
    any = true;
    const Inside inside(*this, new_scope());
    assign(*statement.target, state->item());
    scope_->set("loop", variable);
    if (execute(statement.body) == Flow::kBreak) break;
  }
  return any ? Flow::kNext : in_new_scope(statement.otherwise);
}

JinjaEvaluator::Flow JinjaEvaluator::in_new_scope(const JinjaBody& body) {
  const Inside inside(*this, new_scope());
  return execute(body);
}

std::string JinjaEvaluator::capture(const JinjaBody& body) {
  std::string outside = std::exchange(output_, {});
  ++captures_;
  in_new_scope(body);
  --captures_;
  return std::exchange(output_, std::move(outside));
}

void JinjaEvaluator::set_block(const JinjaStatement& statement) {
  JinjaValue value(capture(statement.body));
  if (statement.expression != nullptr) value = filter(*statement.expression, &value);
  assign(*statement.target, value);
}

void JinjaEvaluator::filter_block(const JinjaStatement& statement) {
  const JinjaValue value(capture(statement.body));
  write(runtime_.text(filter(*statement.expression, &value)));
}

JinjaEvaluator::Flow JinjaEvaluator::with(const JinjaStatement& statement) {
  std::vector<JinjaValue> values;
  for (const auto& [target, value] : statement.pairs) values.push_back(evaluate(*value));
  const Inside inside(*this, new_scope());
  for (std::size_t i = 0; i < values.size(); ++i) assign(*statement.pairs[i].first, values[i]);
  return execute(statement.body);
}

void JinjaEvaluator::assign(const JinjaExpression& target, const JinjaValue& value) {
  runtime_.stand_at(target.at);
  if (target.kind == JinjaExpression::Kind::kName) return scope_->set(target.name, value);
  if (target.kind == JinjaExpression::Kind::kMember) {
    const JinjaValue* found = scope_->find(target.value.as_string());
    JinjaNamespace* members = found ? found->name_space() : nullptr;
    if (members == nullptr)
      runtime_.fail("cannot assign an attribute: `", target.value.as_string(), "` is no namespace");
    if (target.name.starts_with('_')) runtime_.fail("a namespace cannot hold `", target.name, "`");
    runtime_.charge(members->members.size());
    return members->set(target.name, value);
  }
  runtime_.want_defined(value);
  const std::vector<JinjaValue> items = runtime_.items(value);
  if (items.size() != target.parts.size())
    runtime_.fail("cannot unpack ", items.size(), " values into ", target.parts.size(), " names");
  for (std::size_t i = 0; i < items.size(); ++i) assign(*target.parts[i], items[i]);
}

void JinjaEvaluator::define_macro(const JinjaStatement& statement) {
  scope_->set(statement.text, make_macro(statement.text, statement.signature, statement.body));
}

JinjaValue JinjaEvaluator::make_macro(std::string name, const JinjaSignature& signature,
                                      const JinjaBody& body) {
  constexpr std::size_t kCost = 512;  // the scope lives until the end
  runtime_.charge(kCost);
  if (closures_.empty() || closures_.back() != scope_) closures_.push_back(scope_);
  auto object = std::make_shared<JinjaObject>();
  object->type = "Macro";
  object->call = [this, name, &signature, &body, closure = scope_](const JinjaArguments& arguments) {
    return call_macro(name, signature, body, closure, arguments);
  };
  object->attribute = [name](std::string_view attribute) {
    return attribute == "name" ? std::optional(JinjaValue(name)) : std::nullopt;
  };
  return JinjaValue(std::move(object));
}

JinjaValue JinjaEvaluator::call_macro(const std::string& name, const JinjaSignature& signature,
                                      const JinjaBody& body, const Scope& closure,
                                      const JinjaArguments& arguments) {
  const Level level(*this, runtime_.at());
  const Inside inside(*this, std::make_shared<JinjaScope>(closure));
  set_parameters(name, signature, arguments);
  std::string outside = std::exchange(output_, {});
  ++captures_;
  execute(body);
  --captures_;
  return JinjaValue(std::exchange(output_, std::move(outside)));
}

void JinjaEvaluator::set_parameters(const std::string& macro, const JinjaSignature& signature,
                                    const JinjaArguments& arguments) {
  std::vector<JinjaValue> rest;
  JinjaValue::Members named;
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    if (i < signature.names.size())
      scope_->set(signature.names[i], arguments.positional[i]);
    else
      rest.push_back(arguments.positional[i]);
  }
  for (const auto& [name, value] : arguments.keywords) {
    const bool known = std::ranges::find(signature.names, name) != signature.names.end();
    if (known && scope_->find_here(name) != nullptr)
      runtime_.fail("macro ", macro, ": got `", name, "` twice");
    if (known || (name == "caller" && signature.uses_caller))
      scope_->set(name, value);
    else
      named.emplace_back(JinjaValue(name), value);
  }
  if (!rest.empty() && !signature.uses_varargs)
    runtime_.fail("macro ", macro, ": takes not more than ", signature.names.size(), " arguments");
  if (!named.empty() && !signature.uses_kwargs)
    runtime_.fail("macro ", macro, ": takes no argument `", printable(named[0].first.as_string(), 60), "`");
  if (signature.uses_varargs) scope_->set("varargs", JinjaValue::tuple(std::move(rest)));
  if (signature.uses_kwargs) scope_->set("kwargs", JinjaValue::dict(std::move(named)));
  if (signature.uses_caller && scope_->find_here("caller") == nullptr)
    scope_->set("caller", JinjaValue::undefined("No caller defined"));
  for (std::size_t i = 0; i < signature.names.size(); ++i) {
    const std::string& name = signature.names[i];
    if (scope_->find_here(name) != nullptr) continue;
    scope_->set(name, signature.defaults[i]
                          ? evaluate(*signature.defaults[i])
                          : JinjaValue::undefined("parameter '" + name + "' was not provided"));
  }
}

void JinjaEvaluator::call_block(const JinjaStatement& statement) {
  const JinjaValue caller = make_macro("caller", statement.signature, statement.body);
  write(runtime_.text(call(*statement.expression, &caller)));
}

void JinjaEvaluator::generation(const JinjaStatement& statement) {
  const std::size_t begin = output_.size();
  const bool inside_another = std::exchange(in_generation_, true);
  in_new_scope(statement.body);
  in_generation_ = inside_another;
  if (inside_another) return;
  if (captures_ > 0) rendering_.generations_known = false;
  if (captures_ > 0 || output_.size() == begin) return;
  rendering_.generations.push_back({{begin, output_.size()}, message_in_sight()});
}

std::optional<std::size_t> JinjaEvaluator::message_in_sight() const {
  const JinjaSequence* messages = messages_.sequence();
  if (messages == nullptr) return std::nullopt;
  const auto index_of = [&](const JinjaDict* dict) -> std::optional<std::size_t> {
    for (std::size_t i = 0; i < messages->items.size(); ++i)
      if (messages->items[i].dict() == dict) return i;
    return std::nullopt;
  };
  for (const JinjaScope* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    std::optional<std::size_t> found;
    for (const auto& [name, value] : scope->variables) {
      const JinjaValue* role = value.dict() ? value.dict()->member("role") : nullptr;
      if (role == nullptr || !jinja_equal(*role, JinjaValue("assistant"))) continue;
      const auto index = index_of(value.dict());
      if (index && found && index != found) return std::nullopt;
      if (index) found = index;
    }
    if (found) return found;
  }
  return std::nullopt;
}

}  // namespace graft
