#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "text/chat.h"

namespace graft {

/// Where a row came from, for every message about it.
struct RowSource {
  std::string file;
  std::int64_t line = 0;  ///< 1-based physical line (of its start, in a JSON array)
  std::string text() const { return file + ":" + std::to_string(line); }
};

/// Turns between roles; alpaca and prompt/completion rows become a user and an assistant turn.
struct Conversation {
  std::vector<Message> messages;
  Json tools = nullptr;
};
/// A prompt and its completion where the base has no chat template: joined as they are.
struct PromptCompletion {
  std::string prompt, completion;
};
/// Raw text, all of it learned.
struct Text {
  std::string text;
};
/// Ids used verbatim; labels as Hugging Face writes them: label i belongs to token i, -100 = no loss.
struct TokenRow {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> labels;
};

using RowValue = std::variant<Conversation, PromptCompletion, Text, TokenRow>;

struct Row {
  RowValue value;
  RowSource source;
  std::uint64_t fingerprint = 0;  ///< stable hash of the row's text in its file: decides what is held out
};

}  // namespace graft
