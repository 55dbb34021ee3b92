#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"
#include "text/chat_engine.h"

namespace graft {
namespace {

constexpr std::string_view kStart = "<|im_start|>", kEnd = "<|im_end|>";
constexpr std::array<std::string_view, 4> kRoles = {"system", "user", "assistant", "tool"};

void append_header(std::string& text, std::string_view role) {
  text.append(kStart).append(role).append("\n");
}

void check_role(const std::string& role, std::size_t index) {
  if (std::ranges::count(kRoles, role) > 0) return;
  const std::vector<std::string> known(kRoles.begin(), kRoles.end());
  const auto near = nearest(role, known);
  fail("message ", index + 1, ": unknown role `", printable(role), "`",
       Hint{(near ? "did you mean `" + *near + "`? " : "") + "known: " + join(known, ", ")});
}

// Only what the row itself says can be of another kind: `content` is a string by type.
void check_content(const Message& message, std::size_t index) {
  if (!message.fields.is_object() || !message.fields.contains("content")) return;
  const Json& content = message.fields["content"];
  check(content.is_string(), "message ", index + 1, " (", printable(message.role), "): content: got ",
        content.type_name(), ", want a string");
}

struct ChatMlEngine : ChatTemplate::Engine {
  RenderedChat render(std::span<const Message> messages, const RenderOptions& options) const override {
    RenderedChat chat;
    for (std::size_t i = 0; i < messages.size(); ++i) {
      check_content(messages[i], i);
      check_role(messages[i].role, i);
      append_header(chat.text, messages[i].role);
      const std::size_t begin = chat.text.size();
      chat.text.append(messages[i].content).append(kEnd);
      if (messages[i].role == "assistant") chat.assistant.push_back({i, {begin, chat.text.size()}});
      chat.text += '\n';
    }
    if (options.add_generation_prompt) append_header(chat.text, "assistant");
    return chat;
  }
};

}  // namespace

std::shared_ptr<const ChatTemplate::Engine> make_chatml_engine(const Tokenizer& tokenizer) {
  auto engine = std::make_shared<ChatMlEngine>();
  engine->name = "chatml";
  engine->source =
      "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
      "'<|im_end|>' + "
      "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
  if (tokenizer.id(kEnd)) engine->end_of_turn = kEnd;  // elsewhere it is a word like any other
  return engine;
}

}  // namespace graft
