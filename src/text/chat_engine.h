#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "text/chat.h"

namespace graft {

/// What runs a chat template: a named one written in C++, or Jinja. Immutable.
struct ChatTemplate::Engine {
  std::string name, source;
  std::optional<std::string> end_of_turn;

  virtual ~Engine() = default;
  /// See ChatTemplate::render; `messages` is not empty.
  virtual RenderedChat render(std::span<const Message> messages, const RenderOptions& options) const = 0;
};

/// ChatML without a default system prompt: "<|im_start|>ROLE\nCONTENT<|im_end|>\n" for each message. Keys of
/// a message beside role and content, and `tools`, are left out.
std::shared_ptr<const ChatTemplate::Engine> make_chatml_engine(const Tokenizer& tokenizer);

/// Where the Jinja of an engine comes from.
struct JinjaChatSources {
  std::string name;                       ///< as ChatTemplate::name
  std::string source;                     ///< Jinja
  std::optional<std::string> with_tools;  ///< taken instead where a conversation has tools
};
/// An engine that runs Jinja as transformers' apply_chat_template does. `now` is what strftime_now writes.
std::shared_ptr<const ChatTemplate::Engine> make_jinja_engine(const JinjaChatSources& sources,
                                                              const Tokenizer& tokenizer, const std::tm& now);

}  // namespace graft
