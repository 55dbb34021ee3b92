#include "text/chat.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "text/chat_engine.h"
#include "text/chat_named.h"

namespace graft {
namespace {

constexpr std::uint64_t kMaxTemplateBytes = std::uint64_t{1} << 20;

ChatTemplate jinja_template(JinjaChatSources sources, const Tokenizer& tokenizer, const std::tm& now) {
  return ChatTemplate(make_jinja_engine(sources, tokenizer, now));
}

std::optional<std::string> named_source(const Tokenizer& tokenizer, const std::string& name) {
  const auto& templates = tokenizer.chat_templates();
  const auto found = std::ranges::find(templates, name, &NamedChatTemplate::name);
  return found == templates.end() ? std::nullopt : std::optional(found->source);
}

[[noreturn]] void fail_unknown(const std::string& name, const Tokenizer& tokenizer) {
  std::vector<std::string> known = built_in_template_names();
  known.insert(known.begin(), {"auto", "chatml"});
  for (const NamedChatTemplate& own : tokenizer.chat_templates()) known.push_back(printable(own.name, 40));
  const auto near = nearest(name, known);
  fail(ExitCode::kUsage, "unknown chat template `", printable(name), "`",
       Hint{(near ? "did you mean `" + *near + "`? " : "") + "known: " + join(known, ", ") +
            ", a .jinja file"});
}

}  // namespace

ChatTemplate::ChatTemplate(std::shared_ptr<const Engine> engine) : engine_(std::move(engine)) {}

RenderedChat ChatTemplate::render(std::span<const Message> messages, const RenderOptions& options) const {
  check(!messages.empty(), "a conversation without messages");
  return engine_->render(messages, options);
}

const std::string& ChatTemplate::name() const { return engine_->name; }
const std::string& ChatTemplate::source() const { return engine_->source; }
const std::optional<std::string>& ChatTemplate::end_of_turn() const { return engine_->end_of_turn; }

std::optional<ChatTemplate> choose_chat_template(const std::string& name, const Tokenizer& tokenizer,
                                                 const std::tm& now) {
  if (name == "auto") {
    const auto source = tokenizer.chat_template();
    if (!source) return std::nullopt;
    return jinja_template({"default (of the model)", *source, named_source(tokenizer, "tool_use")}, tokenizer,
                          now);
  }
  if (name == "chatml") return ChatTemplate(make_chatml_engine(tokenizer));
  if (name.ends_with(".jinja"))
    return jinja_template({name, read_file(Path(name), kMaxTemplateBytes), std::nullopt}, tokenizer, now);
  if (const auto own = named_source(tokenizer, name))
    return jinja_template({name + " (of the model)", *own, std::nullopt}, tokenizer, now);
  const auto built_in = built_in_template(name);
  if (!built_in) fail_unknown(name, tokenizer);
  return jinja_template({name, *built_in, std::nullopt}, tokenizer, now);
}

}  // namespace graft
