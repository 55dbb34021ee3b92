#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "text/chat.h"

namespace graft {

/// What runs a chat template: a named one written in C++, later the model's own Jinja. Immutable.
struct ChatTemplate::Engine {
  std::string name, source;
  std::optional<std::string> end_of_turn;

  virtual ~Engine() = default;
  /// See ChatTemplate::render; `messages` is not empty and each content is a string.
  virtual RenderedChat render(std::span<const Message> messages, const RenderOptions& options) const = 0;
};

/// ChatML: "<|im_start|>ROLE\nCONTENT<|im_end|>\n" for each message. Keys of a message beside role and
/// content, and `tools`, are left out, as the Jinja templates of this form leave them out.
struct ChatMl {
  std::string prefix;  ///< before the first message (a BOS token's text)
  std::optional<std::string>
      default_system;  ///< the system prompt of a conversation that does not start with one
};

/// The engine that writes `format`. `source` is its Jinja.
std::shared_ptr<const ChatTemplate::Engine> make_chatml_engine(const ChatMl& format, std::string name,
                                                               std::string source,
                                                               const Tokenizer& tokenizer);
/// The Jinja source of ChatML without a default system prompt.
std::string chatml_source();
/// The ChatML that `source` writes, or nothing where it writes, or may write, anything else.
std::optional<ChatMl> recognise_chatml(const std::string& source, const Tokenizer& tokenizer);

}  // namespace graft
