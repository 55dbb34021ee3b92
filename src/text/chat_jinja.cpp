#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"
#include "text/chat_engine.h"
#include "text/chat_spans.h"
#include "text/jinja/template.h"

// Source: transformers, utils/chat_template_utils.py, render_jinja_template.

namespace graft {
namespace {

constexpr std::array<std::string_view, 3> kOwnVariables = {"messages", "tools", "add_generation_prompt"};

/// The message as a template sees it: the row's own object; reasoning under all names that templates read.
Json fields_of(const Message& message) {
  Json fields = message.fields;
  if (!fields.is_object()) fields = Json{{"role", message.role}, {"content", message.content}};
  for (const char* key : {"reasoning_content", "thinking", "reasoning"}) {
    if (!fields.contains(key) || fields[key].is_null()) continue;
    const Json reasoning = fields[key];
    Json named = {{"thinking", reasoning}};
    for (const auto& [name, value] : fields.items()) named[name] = value;
    named["reasoning_content"] = reasoning;
    return named;
  }
  return fields;
}

/// The parts of a list of texts as one text. Error where a part is something else.
std::string joined_parts(const Json& parts, std::size_t message) {
  std::string text;
  for (const Json& part : parts) {
    const bool is_text = part.is_object() && part.contains("text") && part["text"].is_string();
    check(is_text, "message ", message + 1, ": content: the template reads text only, got another part");
    text += part["text"].get<std::string>();
  }
  return text;
}

class JinjaEngine : public ChatTemplate::Engine {
 public:
  JinjaEngine(const JinjaChatSources& sources, const Tokenizer& tokenizer, const std::tm& now)
      : template_(sources.source, sources.name), now_(now), special_tokens_(tokenizer.special_tokens()) {
    name = sources.name;
    source = sources.source;
    if (sources.with_tools) with_tools_.emplace(*sources.with_tools, "tool_use (of the model)");
    add_token("bos_token", tokenizer.bos(), tokenizer);
    add_token("eos_token", tokenizer.eos(), tokenizer);
    add_token("pad_token", tokenizer.pad(), tokenizer);
    reads_parts_ = find_reads_parts();
    end_of_turn = find_end_of_turn(tokenizer);
  }

  RenderedChat render(std::span<const Message> messages, const RenderOptions& options) const override {
    std::vector<Json> all;
    for (const Message& message : messages) all.push_back(fields_of(message));
    if (!reads_parts_) join_parts(all);
    const JinjaRendering rendering = run(all, options, options.add_generation_prompt);
    RenderedChat chat{rendering.text, {}};
    if (options.spans == AssistantSpans::kNone) return chat;
    if (chosen(options).has_generation() && rendering.generations_known)
      chat.assistant = marked_spans(rendering, all);
    else
      chat.assistant = found_spans(all, options, chat.text);
    return chat;
  }

 private:
  void add_token(const char* role, std::optional<std::int32_t> id, const Tokenizer& tokenizer) {
    const bool known =
        std::ranges::any_of(special_tokens_, [&](const auto& token) { return token.first == role; });
    if (id && !known) special_tokens_.emplace_back(role, tokenizer.token(*id));
  }

  static void join_parts(std::vector<Json>& messages) {
    for (std::size_t i = 0; i < messages.size(); ++i) {
      if (!messages[i].contains("content") || !messages[i]["content"].is_array()) continue;
      messages[i]["content"] = joined_parts(messages[i]["content"], i);
    }
  }

  const JinjaTemplate& chosen(const RenderOptions& options) const {
    return with_tools_ && !options.tools.is_null() ? *with_tools_ : template_;
  }

  JinjaVariables variables(const std::vector<Json>& messages, const RenderOptions& options,
                           bool prompt) const {
    std::vector<JinjaValue> list;
    for (std::size_t i = 0; i < messages.size(); ++i)
      list.push_back(jinja_value(messages[i], "message " + std::to_string(i + 1)));
    JinjaVariables all;
    all.emplace_back("messages", JinjaValue::list(std::move(list)));
    all.emplace_back("tools", jinja_value(options.tools, "tools"));
    const bool named = options.variables.is_object() && options.variables.contains("documents");
    all.emplace_back("documents",
                     jinja_value(named ? options.variables["documents"] : options.documents, "documents"));
    all.emplace_back("add_generation_prompt", prompt);
    if (options.variables.is_object()) {
      for (const auto& [key, value] : options.variables.items()) {
        if (key == "documents") continue;
        check(std::ranges::find(kOwnVariables, key) == kOwnVariables.end(), "chat_template_kwargs: `", key,
              "` is no variable of its own");
        all.emplace_back(key, jinja_value(value, "chat_template_kwargs"));
      }
    }
    for (const auto& [role, token] : special_tokens_) all.emplace_back(role, JinjaValue(token));
    return all;
  }

  JinjaRendering run(const std::vector<Json>& messages, const RenderOptions& options, bool prompt) const {
    constexpr std::size_t kWorkPerByte = 64;
    const JinjaVariables all = variables(messages, options, prompt);
    JinjaLimits limits;
    for (const auto& [key, value] : all) limits.work += kWorkPerByte * value.weight();
    return chosen(options).render(all, now_, limits);
  }

  /// The spans that {% generation %} blocks mark. One outside of the loop over messages (an EOS after the
  /// last turn) goes on the one before it.
  static std::vector<RenderedChat::Span> marked_spans(const JinjaRendering& rendering,
                                                      const std::vector<Json>& messages) {
    std::vector<std::size_t> assistants;
    for (std::size_t i = 0; i < messages.size(); ++i)
      if (messages[i].value("role", "") == "assistant") assistants.push_back(i);
    std::vector<RenderedChat::Span> spans;
    const bool one_each = rendering.generations.size() == assistants.size();
    for (const JinjaRendering::Generation& generation : rendering.generations) {
      std::optional<std::size_t> message = generation.message;
      const bool goes_on = !spans.empty() && spans.back().bytes.end == generation.bytes.begin;
      if (!message && goes_on) message = spans.back().message;
      if (!message && one_each) message = assistants[spans.size()];
      check(message.has_value(),
            "a {% generation %} block of the template writes no message that can be told");
      spans.push_back({*message, generation.bytes});
    }
    return spans;
  }

  std::vector<RenderedChat::Span> found_spans(const std::vector<Json>& messages, const RenderOptions& options,
                                              const std::string& text) const {
    const RenderMessages render = [&](const std::vector<Json>& some, bool prompt) {
      return run(some, options, prompt).text;
    };
    if (!options.add_generation_prompt) return find_assistant_spans(messages, text, render);
    const std::string plain = render(messages, false);
    check(text.starts_with(plain), "the generation prompt of the template changes what stands before it");
    return find_assistant_spans(messages, plain, render);
  }

  /// Whether content may be a list of parts: a template that does not know of them writes Python's list.
  bool find_reads_parts() const {
    const Json part = {{"type", "text"}, {"text", "x"}};
    try {
      const std::string text =
          run({Json{{"role", "user"}, {"content", Json::array({part})}}}, {}, false).text;
      return text.find("'type'") == std::string::npos && text.find('x') != std::string::npos;
    } catch (const Error&) {
      return false;
    }
  }

  /// The special token that stands after an answer.
  std::optional<std::string> find_end_of_turn(const Tokenizer& tokenizer) const {
    const std::string answer = "Abc";
    const std::vector<Message> talk = {{.role = "user", .content = "x"},
                                       {.role = "assistant", .content = answer}};
    try {
      const RenderedChat chat = render(talk, {});
      const std::size_t after = chat.text.rfind(answer);
      if (after == std::string::npos) return std::nullopt;
      for (const std::int32_t id :
           tokenizer.encode(std::string_view(chat.text).substr(after + answer.size()), SpecialTokens::kNone)
               .ids)
        if (tokenizer.is_special(id)) return tokenizer.token(id);
    } catch (const Error&) {  // a template that wants more than a question and an answer
    }
    return std::nullopt;
  }

  JinjaTemplate template_;
  std::optional<JinjaTemplate> with_tools_;
  std::tm now_;
  std::vector<std::pair<std::string, std::string>> special_tokens_;
  bool reads_parts_ = true;
};

}  // namespace

std::shared_ptr<const ChatTemplate::Engine> make_jinja_engine(const JinjaChatSources& sources,
                                                              const Tokenizer& tokenizer,
                                                              const std::tm& now) {
  return std::make_shared<JinjaEngine>(sources, tokenizer, now);
}

}  // namespace graft
