#pragma once

#include <optional>

#include "text/chat.h"
#include "text/tokenizer.h"

namespace graft {

/// Tokenizer of tests/golden/tiny_llama: byte-level, digits one by one, chatml with SmolLM's default system
/// prompt, no BOS.
inline const Tokenizer& tiny_tokenizer() {
  static const Tokenizer tokenizer = load_tokenizer(Path(GRAFT_SOURCE_DIR) / "tests/golden/tiny_llama");
  return tokenizer;
}

inline const std::optional<ChatTemplate>& tiny_chat() {
  static const std::optional<ChatTemplate> chat = choose_chat_template("auto", tiny_tokenizer());
  return chat;
}

inline const std::optional<ChatTemplate> kNoChat;

}  // namespace graft
