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
  Json tools = nullptr;      ///< a list of JSON functions, or null
  Json variables = nullptr;  ///< more variables of the chat template (chat_template_kwargs), or null
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

/// Calls visit with every text of a row that a person wrote: of each message, of prompt and completion, of a
/// raw text. Token rows have none.
template <class Visit>
void each_text(const RowValue& row, const Visit& visit) {
  if (const auto* conversation = std::get_if<Conversation>(&row)) {
    for (const Message& message : conversation->messages) visit(message.content);
  } else if (const auto* plain = std::get_if<PromptCompletion>(&row)) {
    visit(plain->prompt);
    visit(plain->completion);
  } else if (const auto* text = std::get_if<Text>(&row)) {
    visit(text->text);
  }
}

struct Row {
  RowValue value;
  RowSource source;
  std::uint64_t fingerprint = 0;  ///< stable hash of the row's text in its file: decides what is held out
};

}  // namespace graft
