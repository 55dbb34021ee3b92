#include "base/error.h"
#include "data/readers.h"

namespace graft {
namespace {

/// One side of a row as messages: a string is one message of `role`, a list is taken as it is.
std::vector<Message> side(const JsonView& value, const char* role) {
  if (value.is_array()) return read_message_list(value);
  return {{.role = role, .content = value.as_string()}};
}

}  // namespace

/// {"prompt", "completion"}: two strings, or lists of messages (TRL's conversational form). Of lists, only
/// the turns of the completion are learned.
RowValue read_prompt_completion(const JsonView& row, PromptForm form) {
  const JsonView prompt = row.at("prompt");
  const JsonView completion = row.at("completion");
  const bool plain = prompt.is_string() && completion.is_string();
  if (plain && form == PromptForm::kPlain)
    return PromptCompletion{prompt.as_string(), completion.as_string()};
  Conversation result{.messages = side(prompt, "user")};
  read_template_inputs(row, result);
  for (Message& message : result.messages) {
    // The prompt is not learned whatever it holds; a flag that says otherwise would contradict the format.
    if (message.role == "assistant") message.train = false;
  }
  for (Message& message : side(completion, "assistant")) result.messages.push_back(std::move(message));
  check(result.messages.back().role == "assistant", completion.where(),
        ": want the assistant's words last, got a turn of ", result.messages.back().role);
  return result;
}

}  // namespace graft
