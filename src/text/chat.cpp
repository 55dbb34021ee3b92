#include "text/chat.h"

#include "base/error.h"
#include "base/text.h"
#include "text/chat_engine.h"

namespace graft {
namespace {

// Only what the row itself says can be of another kind: `content` is a string by type.
void check_content(const Message& message, std::size_t index) {
  if (!message.fields.is_object() || !message.fields.contains("content")) return;
  const Json& content = message.fields["content"];
  check(content.is_string(), "message ", index + 1, " (", printable(message.role), "): content: got ",
        content.type_name(), ", want a string");
}

ChatTemplate template_of_model(const Tokenizer& tokenizer) {
  const std::string& source = *tokenizer.chat_template();
  const auto chatml = recognise_chatml(source, tokenizer);
  check(chatml.has_value(), ExitCode::kUsage,
        "the model's own chat template cannot be run by this version yet",
        Hint{"the named template `chatml` can, where the model may learn that form: chat_template: chatml"});
  return ChatTemplate(make_chatml_engine(*chatml, "chatml (of the model)", source, tokenizer));
}

}  // namespace

ChatTemplate::ChatTemplate(std::shared_ptr<const Engine> engine) : engine_(std::move(engine)) {}

RenderedChat ChatTemplate::render(std::span<const Message> messages, const RenderOptions& options) const {
  check(!messages.empty(), "a conversation without messages");
  for (std::size_t i = 0; i < messages.size(); ++i) check_content(messages[i], i);
  return engine_->render(messages, options);
}

const std::string& ChatTemplate::name() const { return engine_->name; }
const std::string& ChatTemplate::source() const { return engine_->source; }
const std::optional<std::string>& ChatTemplate::end_of_turn() const { return engine_->end_of_turn; }

std::optional<ChatTemplate> choose_chat_template(const std::string& name, const Tokenizer& tokenizer) {
  if (name == "auto") {
    if (!tokenizer.chat_template()) return std::nullopt;
    return template_of_model(tokenizer);
  }
  if (name == "chatml") return ChatTemplate(make_chatml_engine({}, "chatml", chatml_source(), tokenizer));
  check(!name.ends_with(".jinja"), ExitCode::kUsage, "chat template `", printable(name),
        "`: Jinja files cannot be run by this version yet", Hint{"known: auto, chatml"});
  fail(ExitCode::kUsage, "unknown chat template `", printable(name), "`", Hint{"known: auto, chatml"});
}

}  // namespace graft
