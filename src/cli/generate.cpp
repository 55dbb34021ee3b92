#include "base/console.h"
#include "base/error.h"
#include "base/signals.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/talker.h"

namespace graft {

ExitCode run_generate(const std::vector<std::string>& words) {
  TalkArguments arguments;
  std::string prompt;
  bool raw = false;
  Arguments parser(
      {.verb = "generate",
       .synopsis = "--model M [--adapter A] --prompt P [--system S] [--raw] [--max-new-tokens N]",
       .about = "Writes one answer to a prompt, word by word. --raw: no chat template, the text goes on.",
       .example = "graft generate --model models/SmolLM2-135M-Instruct --adapter runs/cooking/adapter "
                  "--prompt 'How do I cook rice?'"});
  arguments.declare(parser);
  parser.option("prompt", "P", prompt, "the user's turn, or the text to go on from", Need::kRequired);
  parser.flag("raw", raw, "no chat template");
  if (!parser.parse(words)) return ExitCode::kDone;
  check(!raw || !arguments.system, ExitCode::kUsage, "--system: has no place in --raw");

  Talker talker(arguments);
  const auto stream = [&](std::string_view piece) {
    if (!arguments.json) print(piece);
    if (!arguments.json) flush_output();
    return !stop_requested();
  };
  if (!raw && !talker.has_template()) {
    check(!arguments.system, ExitCode::kUsage, "--system: the base has no chat template",
          Hint{"--chat-template chatml"});
    warn("the base has no chat template: going on from the prompt as with --raw");
    raw = true;
  }
  std::vector<Message> messages;
  if (arguments.system) messages.push_back({.role = "system", .content = *arguments.system});
  messages.push_back({.role = "user", .content = prompt});
  const Answer answer = raw ? talker.go_on(prompt, stream) : talker.answer(messages, stream);
  if (arguments.json) {
    print_json({{"text", answer.text}, {"tokens", answer.tokens}, {"stop", stop_name(answer.reason)}});
  } else {
    print("\n");
    say_if_cut(answer);
  }
  return answer.reason == StopReason::kCaller ? ExitCode::kStopped : ExitCode::kDone;
}

}  // namespace graft
