#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

struct RenderOptions {
  bool add_generation_prompt = false;
  Json tools = nullptr;
};

/// A rendered conversation.
struct RenderedChat {
  struct Span {
    std::size_t message;  ///< index into the messages
    ByteSpan bytes;       ///< what the assistant wrote, its end of turn included; never the header
  };
  std::string text;
  std::vector<Span> assistant;  ///< one per assistant message, in order
};

/// How a base writes conversations. A named template, or (later) the model's own Jinja.
class ChatTemplate {
 public:
  struct Engine;
  explicit ChatTemplate(std::shared_ptr<const Engine> engine);
  /// The text of the messages and where the assistant's words are. Errors: a role the template does not know,
  /// turns in an order it refuses.
  RenderedChat render(std::span<const Message> messages, const RenderOptions& options = {}) const;
  /// For messages and run.json: "chatml (of the model)".
  const std::string& name() const;
  /// The Jinja source that other tools need to write the same text; saved beside the adapter.
  const std::string& source() const;
  /// The token that ends a turn ("<|im_end|>"), where the template has one.
  const std::optional<std::string>& end_of_turn() const;

 private:
  std::shared_ptr<const Engine> engine_;
};

/// The template that `name` asks for: "auto" (the model's own), "chatml", or a .jinja file (not yet).
/// "auto" keeps the default system prompt that the model's own template puts in; "chatml" never puts one in.
/// Nothing where name is "auto" and the base has no template. Error kUsage: an unknown name, or a template of
/// the model that this version cannot run (the hint names the ones it can).
std::optional<ChatTemplate> choose_chat_template(const std::string& name, const Tokenizer& tokenizer);

}  // namespace graft
