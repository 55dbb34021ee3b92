#include "base/error.h"
#include "data/readers.h"

namespace graft {
namespace {

std::string string_or_empty(const JsonView& row, const char* key) {
  const auto value = row.find(key);
  return value ? value->as_string() : "";
}

std::vector<Message> history_of(const JsonView& row) {
  std::vector<Message> messages;
  const auto history = row.find("history");
  if (!history) return messages;
  history->each_element([&](const JsonView& round) {
    check(round.is_array() && round.size() == 2, round.where(), ": want a pair [question, answer]");
    messages.push_back({.role = "user", .content = round.at(std::size_t{0}).as_string()});
    messages.push_back({.role = "assistant", .content = round.at(std::size_t{1}).as_string()});
  });
  return messages;
}

}  // namespace

/// Rows of Stanford Alpaca and its kin: {"instruction", "input"?, "output", "system"?, "history"?}. The user
/// turn is the instruction and, on the next line, its input. Without a template the turns of the prompt are
/// joined by line breaks.
RowValue read_alpaca(const JsonView& row, PromptForm form) {
  std::vector<Message> messages = history_of(row);
  if (const std::string system = string_or_empty(row, "system"); !system.empty()) {
    messages.insert(messages.begin(), Message{.role = "system", .content = system});
  }
  const std::string input = string_or_empty(row, "input");
  std::string prompt = row.at("instruction").as_string();
  if (!input.empty()) prompt += "\n" + input;
  messages.push_back({.role = "user", .content = prompt});
  messages.push_back({.role = "assistant", .content = row.at("output").as_string()});
  if (form == PromptForm::kChat) return Conversation{.messages = std::move(messages)};

  PromptCompletion plain{.prompt = "", .completion = messages.back().content};
  messages.pop_back();
  for (const Message& message : messages) {
    plain.prompt += (plain.prompt.empty() ? "" : "\n") + message.content;
  }
  return plain;
}

}  // namespace graft
