#include <array>

#include "base/error.h"
#include "base/text.h"
#include "data/readers.h"

namespace graft {
namespace {

/// Names of a role in data files and the name that templates know.
constexpr std::array<std::array<const char*, 2>, 12> kRoles = {{{"system", "system"},
                                                                {"developer", "developer"},
                                                                {"user", "user"},
                                                                {"assistant", "assistant"},
                                                                {"tool", "tool"},
                                                                {"function", "tool"},
                                                                {"human", "user"},
                                                                {"gpt", "assistant"},
                                                                {"model", "assistant"},
                                                                {"observation", "tool"},
                                                                {"function_call", "assistant"},
                                                                {"chatgpt", "assistant"}}};

std::string role_of(const JsonView& role) {
  std::vector<std::string> known;
  for (const auto& [name, meaning] : kRoles) {
    if (role.as_string() == name) return meaning;
    known.emplace_back(name);
  }
  const auto near = nearest(role.as_string(), known);
  fail(role.where(), ": unknown role \"", printable(role.as_string(), 40), "\"",
       Hint{near ? "did you mean \"" + *near + "\"?" : "roles are system, user, assistant, tool"});
}

/// Content is a string, or the parts of one: [{"type": "text", "text": …}].
std::string content_of(const JsonView& content) {
  if (!content.is_array()) return content.as_string();
  std::string text;
  content.each_element([&](const JsonView& part) {
    check(part.at("type").as_string() == "text", part.at("type").where(), ": got \"",
          printable(part.at("type").as_string(), 40), "\", want \"text\"", Hint{"graft trains on text only"});
    text += part.at("text").as_string();
  });
  return text;
}

Message read_message(const JsonView& view) {
  check(view.is_object(), view.where(), ": want a message {\"role\": …, \"content\": …}");
  const bool sharegpt = !view.find("role") && view.find("from");
  const auto content = view.find(sharegpt ? "value" : "content");
  Message message;
  message.role = role_of(view.at(sharegpt ? "from" : "role"));
  // An assistant turn that only calls tools has no content of its own.
  const bool calls = view.find("tool_calls").has_value();
  if (content || !calls) message.content = content_of(view.at(sharegpt ? "value" : "content"));
  message.train = stated_train_flag(view).value_or(true);
  message.fields = view.json();
  if (sharegpt) {
    message.fields.erase("from");
    message.fields.erase("value");
    message.fields["content"] = message.content;
  }
  message.fields["role"] = message.role;
  return message;
}

void check_system_turns(const JsonView& list, const std::vector<Message>& messages) {
  bool seen = false;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "system") continue;
    check(!seen, list.at(i).where(), ": a second system message in one conversation");
    seen = true;
  }
}

Conversation conversation(const JsonView& row, const char* key) {
  const JsonView list = row.at(key);
  check(list.is_array() && list.size() > 0, list.where(), ": want a list of at least one message");
  Conversation result{.messages = read_message_list(list)};
  check_system_turns(list, result.messages);
  read_template_inputs(row, result);
  return result;
}

}  // namespace

std::optional<bool> stated_train_flag(const JsonView& message) {
  if (const auto train = message.find("train")) return train->as_bool();
  if (const auto weight = message.find("weight")) {
    const double value = weight->as_double();
    check(value == 0 || value == 1, weight->where(), ": got ", value, ", want 0 or 1");
    return value == 1;
  }
  return std::nullopt;
}

void read_template_inputs(const JsonView& row, Conversation& conversation) {
  if (const auto view = row.find("tools")) {
    Json tools = view->is_string() ? parse_json(view->as_string(), view->where()) : view->json();
    check(tools.is_array(), view->where(), ": want a list of tools");
    // An empty list is what tables write where a row has none.
    if (!tools.empty()) conversation.tools = std::move(tools);
  }
  if (const auto view = row.find("chat_template_kwargs")) {
    check(view->is_object(), view->where(), ": want an object of template variables");
    conversation.variables = view->json();
  }
}

std::vector<Message> read_message_list(const JsonView& list) {
  std::vector<Message> messages;
  list.each_element([&](const JsonView& message) { messages.push_back(read_message(message)); });
  return messages;
}

RowValue read_messages(const JsonView& row, PromptForm) { return conversation(row, "messages"); }

RowValue read_sharegpt(const JsonView& row, PromptForm) {
  Conversation result = conversation(row, "conversations");
  const auto system = row.find("system");
  if (!system || system->as_string().empty()) return result;
  check(result.messages.front().role != "system", system->where(),
        ": a second system message in one conversation");
  result.messages.insert(result.messages.begin(), Message{.role = "system", .content = system->as_string()});
  return result;
}

}  // namespace graft
