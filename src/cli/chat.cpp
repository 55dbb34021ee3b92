#include <unistd.h>

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

}  // namespace

ExitCode run_chat(const std::vector<std::string>& words) {
  TalkArguments arguments;
  Arguments parser(
      {.verb = "chat",
       .synopsis = "--model M [--adapter A] [--system S]",
       .about = "Answers line by line until the input ends. /reset forgets the conversation, /quit ends it.",
       .example = "graft chat --model models/SmolLM2-135M-Instruct --adapter runs/cooking/adapter"});
  arguments.declare(parser);
  if (!parser.parse(words)) return ExitCode::kDone;

  Talker talker(arguments);
  check(talker.has_template(), ExitCode::kUsage, arguments.model, ": has no chat template",
        Hint{"name one: --chat-template chatml"});
  const bool terminal = ::isatty(STDIN_FILENO) == 1 && stdout_is_terminal() && !arguments.json;
  const auto stream = [&](std::string_view piece) {
    if (!arguments.json) print(piece);
    if (!arguments.json) flush_output();
    return !stop_requested();
  };
  std::vector<Message> start;
  if (arguments.system) start.push_back({.role = "system", .content = *arguments.system});
  std::vector<Message> messages = start;
  while (const std::optional<std::string> line = read_turn(terminal)) {
    if (trim(*line).empty()) continue;
    if (trim(*line) == "/quit" || trim(*line) == "/exit") break;
    if (trim(*line) == "/reset") {
      messages = start;
      continue;
    }
    messages.push_back({.role = "user", .content = *line});
    if (!talker.fits(messages)) {
      messages.pop_back();
      warn("the conversation is longer than the model can read; /reset starts anew");
      continue;
    }
    const Answer answer = talker.answer(messages, stream);
    messages.push_back({.role = "assistant", .content = answer.text});
    if (arguments.json) {
      print_json({{"text", answer.text}, {"tokens", answer.tokens}, {"stop", stop_name(answer.reason)}});
    } else {
      print("\n");
      say_if_cut(answer);
    }
    flush_output();
    if (stop_requested()) break;
  }
  if (terminal) print("\n");
  return stop_requested() && !terminal ? ExitCode::kStopped : ExitCode::kDone;
}

}  // namespace graft
