#include <algorithm>
#include <array>

#include "text/jinja/expression_parser.h"
#include "text/jinja/syntax.h"

// Source: jinja2/parser.py; the tag `generation` as transformers adds it (utils/chat_template_utils.py).

namespace graft {
namespace {

using Kind = JinjaStatement::Kind;
using TokenKind = JinjaToken::Kind;

class Parser {
 public:
  explicit Parser(JinjaSyntax& syntax)
      : syntax_(syntax), stream_(syntax.source), expressions_(syntax, stream_) {
    expressions_.on_name = [this](const std::string& name) { note_name(name); };
  }

  void run() { syntax_.body = body({}); }

 private:
  using Ends = std::initializer_list<std::string_view>;

  JinjaStatement& add(Kind kind, std::size_t at) {
    JinjaStatement& node = syntax_.statements.emplace_back();
    node.kind = kind;
    node.at = at;
    return node;
  }

  // What the innermost macro reads decides what it accepts.
  void note_name(const std::string& name) {
    if (signatures_.empty()) return;
    JinjaSignature& signature = *signatures_.back();
    signature.uses_varargs |= name == "varargs";
    signature.uses_kwargs |= name == "kwargs";
    signature.uses_caller |= name == "caller";
  }

  // Statements up to a tag of `ends`, at whose name the stream then is.
  JinjaBody body(Ends ends) {
    const JinjaExpressionParser::Level level(expressions_);
    JinjaBody result;
    while (!stream_.at(TokenKind::kEnd)) {
      const JinjaToken& token = stream_.take();
      if (token.kind == TokenKind::kData) {
        JinjaStatement& node = add(Kind::kText, token.at);
        node.text = token.text;
        result.push_back(&node);
      } else if (token.kind == TokenKind::kOutputBegin) {
        result.push_back(output(token.at));
        stream_.want(TokenKind::kOutputEnd, "`}}`");
      } else {
        if (std::ranges::any_of(ends, [&](std::string_view end) { return stream_.at_name(end); }))
          return result;
        statement(token.at, result);
        stream_.want(TokenKind::kBlockEnd, "`%}`");
      }
    }
    if (ends.size() > 0) stream_.fail_at(open_tags_.back(), "this block is never closed");
    return result;
  }

  // The body of a tag whose head has been read.
  JinjaBody inside(Ends ends) {
    stream_.skip_operator(":");
    stream_.want(TokenKind::kBlockEnd, "`%}`");
    return body(ends);
  }

  // inside() of a tag that one word closes.
  JinjaBody closed_by(std::string_view end) {
    JinjaBody result = inside({end});
    stream_.take();
    return result;
  }

  const JinjaStatement* output(std::size_t at) {
    JinjaStatement& node = add(Kind::kOutput, at);
    node.expression = expressions_.tuple();
    return &node;
  }

  void statement(std::size_t at, JinjaBody& result) {
    using Read = const JinjaStatement* (Parser::*)(std::size_t at);
    static constexpr std::array<std::pair<std::string_view, Read>, 14> kTags = {
        {{"set", &Parser::read_set},
         {"if", &Parser::read_if},
         {"for", &Parser::read_for},
         {"macro", &Parser::read_macro},
         {"call", &Parser::read_call},
         {"filter", &Parser::read_filter},
         {"generation", &Parser::read_generation},
         {"with", &Parser::read_with},
         {"block", &Parser::read_block},
         {"autoescape", &Parser::read_autoescape},
         {"break", &Parser::read_break},
         {"continue", &Parser::read_continue},
         {"print", &Parser::read_print},
         {"do", &Parser::refuse_do}}};
    const JinjaToken name = stream_.want(TokenKind::kName, "the name of a tag");
    const auto tag = std::ranges::find(kTags, name.text, [](const auto& entry) { return entry.first; });
    if (tag == kTags.end()) refuse_tag(name);
    open_tags_.push_back(at);
    result.push_back((this->*tag->second)(at));
    open_tags_.pop_back();
  }

  [[noreturn]] void refuse_tag(const JinjaToken& name) const {
    static constexpr std::array<std::string_view, 4> kFiles = {"include", "import", "from", "extends"};
    const bool needs_files = std::ranges::find(kFiles, name.text) != kFiles.end();
    stream_.fail_at(name.at, needs_files ? "`" + name.text + "`: a chat template cannot read other files"
                                         : "unknown tag `" + printable(name.text, 40) + "`");
  }

  const JinjaStatement* refuse_do(std::size_t at) { stream_.fail_at(at, "unknown tag `do`"); }

  const JinjaStatement* read_set(std::size_t at) {
    const JinjaExpression* target = expressions_.target("", true);
    JinjaStatement& node = add(Kind::kSet, at);
    node.target = target;
    if (stream_.skip_operator("=")) {
      node.expression = expressions_.tuple();
      return &node;
    }
    node.kind = Kind::kSetBlock;
    node.expression = expressions_.filters(false);
    node.body = closed_by("endset");
    return &node;
  }

  const JinjaStatement* read_if(std::size_t at) {
    JinjaStatement& first = add(Kind::kIf, at);
    JinjaStatement* node = &first;
    for (;;) {
      node->expression = expressions_.tuple(JinjaExpressionParser::Condition::kNone);
      node->body = inside({"elif", "else", "endif"});
      const JinjaToken& word = stream_.take();
      if (word.text != "elif") {
        if (word.text == "else") node->otherwise = closed_by("endif");
        return &first;
      }
      JinjaStatement& next = add(Kind::kIf, word.at);
      node->otherwise = {&next};
      node = &next;
    }
  }

  const JinjaStatement* read_for(std::size_t at) {
    JinjaStatement& node = add(Kind::kFor, at);
    node.target = expressions_.target("in", false);
    if (!stream_.skip_name("in")) stream_.fail_here("expected `in`, got " + stream_.describe());
    node.expression = expressions_.tuple(JinjaExpressionParser::Condition::kNone, "recursive");
    if (stream_.skip_name("if")) node.condition = expressions_.expression();
    if (stream_.at_name("recursive")) stream_.fail_here("`recursive` loops are not supported");
    ++loops_;
    node.body = inside({"endfor", "else"});
    --loops_;
    if (stream_.take().text == "else") node.otherwise = closed_by("endfor");
    return &node;
  }

  void read_signature(JinjaSignature& signature) {
    stream_.want_operator("(");
    while (!stream_.at_operator(")")) {
      signature.names.push_back(stream_.want(TokenKind::kName, "the name of a parameter").text);
      const bool has_default = stream_.skip_operator("=");
      if (!has_default && !signature.defaults.empty() && signature.defaults.back() != nullptr)
        stream_.fail_here("a parameter without a default after one that has one");
      signature.defaults.push_back(has_default ? expressions_.expression() : nullptr);
      if (!stream_.at_operator(")")) stream_.want_operator(",");
    }
    stream_.take();
  }

  // The body of a macro: names in it are noted, loops outside of it cannot be left from it.
  JinjaBody macro_body(JinjaSignature& signature, std::string_view end) {
    signatures_.push_back(&signature);
    const int loops = std::exchange(loops_, 0);
    JinjaBody result = closed_by(end);
    loops_ = loops;
    signatures_.pop_back();
    return result;
  }

  const JinjaStatement* read_macro(std::size_t at) {
    JinjaStatement& node = add(Kind::kMacro, at);
    node.text = stream_.want(TokenKind::kName, "the name of a macro").text;
    read_signature(node.signature);
    node.body = macro_body(node.signature, "endmacro");
    return &node;
  }

  const JinjaStatement* read_call(std::size_t at) {
    JinjaStatement& node = add(Kind::kCallBlock, at);
    if (stream_.at_operator("(")) read_signature(node.signature);
    node.expression = expressions_.expression();
    if (node.expression->kind != JinjaExpression::Kind::kCall) stream_.fail_at(at, "expected a call");
    node.body = macro_body(node.signature, "endcall");
    return &node;
  }

  const JinjaStatement* read_filter(std::size_t at) {
    JinjaStatement& node = add(Kind::kFilter, at);
    node.expression = expressions_.filters(true);
    node.body = closed_by("endfilter");
    return &node;
  }

  const JinjaStatement* read_generation(std::size_t at) {
    JinjaStatement& node = add(Kind::kGeneration, at);
    syntax_.has_generation = true;
    const int loops = std::exchange(loops_, 0);
    node.body = closed_by("endgeneration");
    loops_ = loops;
    return &node;
  }

  const JinjaStatement* read_with(std::size_t at) {
    JinjaStatement& node = add(Kind::kWith, at);
    while (!stream_.at(TokenKind::kBlockEnd)) {
      if (!node.pairs.empty()) stream_.want_operator(",");
      const JinjaExpression* target = expressions_.target("", false);
      stream_.want_operator("=");
      node.pairs.emplace_back(target, expressions_.expression());
    }
    node.body = closed_by("endwith");
    return &node;
  }

  // Without `extends` a block writes where it stands.
  const JinjaStatement* read_block(std::size_t at) {
    JinjaStatement& node = add(Kind::kScope, at);
    const std::string name = stream_.want(TokenKind::kName, "the name of a block").text;
    stream_.skip_name("scoped");
    node.body = closed_by("endblock");
    stream_.skip_name(name);
    return &node;
  }

  const JinjaStatement* read_autoescape(std::size_t at) {
    if (!stream_.skip_name("false") && !stream_.skip_name("False"))
      stream_.fail_here("`autoescape` can only be false in a chat template");
    JinjaStatement& node = add(Kind::kScope, at);
    node.body = closed_by("endautoescape");
    return &node;
  }

  const JinjaStatement* leave_loop(std::size_t at, Kind kind) {
    if (loops_ == 0) stream_.fail_at(at, "no loop here that could be left");
    return &add(kind, at);
  }
  const JinjaStatement* read_break(std::size_t at) { return leave_loop(at, Kind::kBreak); }
  const JinjaStatement* read_continue(std::size_t at) { return leave_loop(at, Kind::kContinue); }

  const JinjaStatement* read_print(std::size_t at) { return output(at); }

  JinjaSyntax& syntax_;
  JinjaTokenStream stream_;
  JinjaExpressionParser expressions_;
  std::vector<JinjaSignature*> signatures_;
  std::vector<std::size_t> open_tags_;
  int loops_ = 0;
};

}  // namespace

void parse_jinja(JinjaSyntax& syntax) { Parser(syntax).run(); }

}  // namespace graft
