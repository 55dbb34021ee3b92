#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/date.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace graft {

/// One turn of a conversation. `fields` is the row's own message object, so that keys graft does not know
/// reach the template unchanged.
struct Message {
  std::string role;  ///< "system", "user", "assistant", "tool"
  std::string content;
  bool train = true;      ///< false: an assistant turn that is not learned
  Json fields = nullptr;  ///< the whole message as read; null where it was not JSON
};

/// Whether the spans of the assistant are looked for; prompts need none.
enum class AssistantSpans { kFind, kNone };

struct RenderOptions {
  bool add_generation_prompt = false;
  Json tools = nullptr;      ///< a list of JSON functions, or null
  Json documents = nullptr;  ///< a list of objects, or null
  /// More variables of the template (chat_template_kwargs), `documents` among them: an object, or null.
  Json variables = nullptr;
  AssistantSpans spans = AssistantSpans::kFind;
};

/// A rendered conversation.
struct RenderedChat {
  struct Span {
    std::size_t message;  ///< index into the messages
    ByteSpan bytes;       ///< what the assistant wrote, its end of turn included; never the header
  };
  std::string text;
  /// In order. A template with {% generation %} blocks says itself where they are, and a message may have
  /// none or several; any other gives one per assistant message.
  std::vector<Span> assistant;
};

/// How a base writes conversations: the model's own Jinja template, one from a file, or a named one.
class ChatTemplate {
 public:
  struct Engine;
  explicit ChatTemplate(std::shared_ptr<const Engine> engine);
  /// The text of the messages and where the assistant's words are. Errors: a role the template does not know,
  /// turns in an order it refuses (what it says itself is repeated, with its line), a limit that only hostile
  /// templates reach; spans that cannot be told from the text.
  RenderedChat render(std::span<const Message> messages, const RenderOptions& options = {}) const;
  /// For messages and run.json: "chatml", "default (of the model)", or a file.
  const std::string& name() const;
  /// The Jinja source that other tools need to write the same text; saved beside the adapter.
  const std::string& source() const;
  /// The token that ends a turn ("<|im_end|>"), where the template has one.
  const std::optional<std::string>& end_of_turn() const;

 private:
  std::shared_ptr<const Engine> engine_;
};

/// The template that `name` asks for: "auto" (the model's own; with tools its "tool_use" where it has one),
/// "chatml", a .jinja file, the name of one of the model's own, or one of chat_named.h. "auto" keeps the
/// default system prompt that the model's own template puts in; "chatml" never puts one in. `now` is the time
/// that templates which write a date see. Nothing where name is "auto" and the base has no template. Errors:
/// kUsage for an unknown name; a template that cannot be parsed, with line and column.
std::optional<ChatTemplate> choose_chat_template(const std::string& name, const Tokenizer& tokenizer,
                                                 const std::tm& now = local_time());

}  // namespace graft
