#include <optional>

#include "base/console.h"
#include "base/error.h"
#include "base/signals.h"
#include "cli/commands.h"
#include "cli/generate_many.h"
#include "cli/output.h"
#include "cli/talker.h"

namespace graft {

namespace {

/// Prints the answer of the adapter in use; false where a signal ended it.
bool answer_once(Talker& talker, const TalkArguments& arguments, const std::vector<Message>& messages,
                 bool raw) {
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
  const Answer answer = raw ? talker.go_on(messages.back().content, stream) : talker.answer(messages, stream);
  if (arguments.json) {
    print_json(talker.json_of(answer));
  } else {
    print("\n");
    say_if_cut(answer);
  }
  return answer.reason != StopReason::kCaller;
}

}  // namespace

ExitCode run_generate(const std::vector<std::string>& words) {
  TalkArguments arguments;
  std::optional<std::string> prompt, prompts;
  std::optional<std::int64_t> batch_tokens;
  bool raw = false;
  Arguments parser(
      {.verb = "generate",
       .synopsis = "--model M [--adapter A] --prompt P | --prompts FILE [--system S] [--raw]",
       .about =
           "Writes one answer to a prompt, word by word; with several adapters, one of each. --raw: no chat "
           "template, the text goes on. --prompts answers a file of prompts, several at a time: a prompt a "
           "line, or JSON lines of {\"prompt\"} or {\"messages\"} with, where wanted, id, system, tools, "
           "adapter (a name; else the first), max_new_tokens, temperature, top_k, top_p, min_p, "
           "repetition_penalty, seed, stop. It prints a JSON line for each in their order; row n (from 0) "
           "draws as --seed S+n would alone.",
       .example = "graft generate --model models/SmolLM2-135M-Instruct --adapter runs/cooking/adapter "
                  "--prompt 'How do I cook rice?'"});
  arguments.declare(parser);
  parser.option("prompt", "P", prompt, "the user's turn, or the text to go on from");
  parser.option("prompts", "FILE", prompts, "a file of prompts");
  parser.option("batch-tokens", "N", batch_tokens,
                "with --prompts: tokens kept at a time, prompts and answers together (as memory suits)");
  parser.flag("raw", raw, "no chat template");
  if (!parser.parse(words)) return ExitCode::kDone;
  check(prompt.has_value() != prompts.has_value(), ExitCode::kUsage,
        "generate: want either --prompt P or --prompts FILE");
  check(!raw || !arguments.system, ExitCode::kUsage, "--system: has no place in --raw");
  check(!batch_tokens || prompts, ExitCode::kUsage, "--batch-tokens: has a place only beside --prompts");
  check(!batch_tokens || *batch_tokens > 0, ExitCode::kUsage, "--batch-tokens: got ",
        batch_tokens.value_or(0), ", want 1 or more");
  if (prompts) return generate_many(arguments, {*prompts, raw, batch_tokens.value_or(0)});

  Talker talker(arguments);
  std::vector<Message> messages;
  if (arguments.system) messages.push_back({.role = "system", .content = *arguments.system});
  messages.push_back({.role = "user", .content = *prompt});
  const std::vector<AdapterArgument>& adapters = talker.wording().adapters;
  for (const AdapterArgument& adapter : adapters) {
    talker.use(adapter.name);
    if (adapters.size() > 1 && !arguments.json) print("== " + adapter.name + "\n");
    if (!answer_once(talker, arguments, messages, raw)) return ExitCode::kStopped;
  }
  return ExitCode::kDone;
}

}  // namespace graft
