#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "base/console.h"
#include "base/error.h"
#include "base/signals.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/talker.h"

namespace graft {
namespace {

/// The next line that the user wrote; nothing at the end of the input or after Ctrl-C.
std::optional<std::string> read_turn(bool terminal) {
  if (terminal) {
    std::cerr << "> " << std::flush;
  }
  std::string line;
  if (!std::getline(std::cin, line) || stop_requested()) return std::nullopt;
  const auto invalid = find_invalid_utf8(line);
  check(!invalid, "stdin @", invalid.value_or(0), " of the line: not valid UTF-8");
  return line;
}

/// What a line asks of the program itself.
enum class ChatCommand { kNone, kBlank, kHelp, kAdapter, kReset, kQuit };

constexpr char kHelp[] =
    "/adapter [NAME]  go on with this adapter, none: the base alone; without a name, which there are\n"
    "/reset           forget the conversation\n"
    "/quit            end\n"
    "/help            this list";

ChatCommand command_of(const std::string& line) {
  const std::string word = line.substr(0, line.find_first_of(" \t"));
  if (line.empty()) return ChatCommand::kBlank;
  if (word == "/adapter") return ChatCommand::kAdapter;
  if (line == "/help") return ChatCommand::kHelp;
  if (line == "/reset") return ChatCommand::kReset;
  if (line == "/quit" || line == "/exit") return ChatCommand::kQuit;
  return ChatCommand::kNone;
}

/// The conversation stays. A name that there is not changes nothing.
void change_adapter(Talker& talker, std::string_view line) {
  const std::vector<std::string> names = talker.wording().names();
  const std::string name(trim(line.substr(std::string_view("/adapter").size())));
  if (name.empty()) {
    say("adapters: " + join(names, ", ") + "; in use: " + talker.adapter());
    return;
  }
  if (std::ranges::find(names, name) == names.end()) {
    warn("no adapter is called " + printable(name) + " (there are: " + join(names, ", ") + ")");
    return;
  }
  if (!talker.wording().chat(name)) {
    warn(name + ": has no chat template; --chat-template names one for all");
    return;
  }
  talker.use(name);
  say("adapter: " + name);
}

/// Adds the user's turn and the answer to the conversation, and prints the answer.
void answer_turn(Talker& talker, std::vector<Message>& messages, const std::string& line, bool json) {
  const auto stream = [&](std::string_view piece) {
    if (!json) print(piece);
    if (!json) flush_output();
    return !stop_requested();
  };
  messages.push_back({.role = "user", .content = line});
  if (!talker.fits(messages)) {
    messages.pop_back();
    warn("the conversation is longer than the model can read; /reset starts anew");
    return;
  }
  const Answer answer = talker.answer(messages, stream);
  messages.push_back({.role = "assistant", .content = answer.text});
  if (json) {
    print_json(talker.json_of(answer));
  } else {
    print("\n");
    say_if_cut(answer);
  }
  flush_output();
}

}  // namespace

ExitCode run_chat(const std::vector<std::string>& words) {
  TalkArguments arguments;
  Arguments parser(
      {.verb = "chat",
       .synopsis = "--model M [--adapter A] [--system S]",
       .about =
           "Answers line by line until the input ends. /adapter NAME goes on with another adapter, /reset "
           "forgets the conversation, /quit ends it, /help lists these.",
       .example = "graft chat --model models/SmolLM2-135M-Instruct --adapter runs/cooking/adapter"});
  arguments.declare(parser);
  if (!parser.parse(words)) return ExitCode::kDone;

  Talker talker(arguments);
  check(talker.has_template(), ExitCode::kUsage, arguments.model, ": has no chat template",
        Hint{"name one: --chat-template chatml"});
  const bool terminal = ::isatty(STDIN_FILENO) == 1 && stdout_is_terminal() && !arguments.json;
  std::vector<Message> start;
  if (arguments.system) start.push_back({.role = "system", .content = *arguments.system});
  std::vector<Message> messages = start;
  while (const std::optional<std::string> line = read_turn(terminal)) {
    const ChatCommand command = command_of(std::string(trim(*line)));
    if (command == ChatCommand::kQuit) break;
    if (command == ChatCommand::kReset) messages = start;
    if (command == ChatCommand::kHelp) say(kHelp);
    if (command == ChatCommand::kAdapter) change_adapter(talker, trim(*line));
    if (command == ChatCommand::kNone) answer_turn(talker, messages, *line, arguments.json);
    if (stop_requested()) break;
  }
  if (terminal) print("\n");
  return stop_requested() && !terminal ? ExitCode::kStopped : ExitCode::kDone;
}

}  // namespace graft
