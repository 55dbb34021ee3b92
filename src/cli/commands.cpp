#include "cli/commands.h"

#include <algorithm>
#include <optional>

#include "base/signals.h"
#include "base/text.h"
#include "cli/output.h"

namespace graft {
namespace {

/// Verbs that are promised and come later: an unknown-verb message would send their users looking for a typo.
constexpr const char* kLater[] = {"data clean", "serve"};

std::string help_text() {
  std::size_t width = 0;
  for (const Command& command : commands()) width = std::max(width, command.name.size());
  std::string text =
      "graft fine-tunes language models with low-rank adapters.\n\nusage: graft VERB [ARGUMENTS]\n\n";
  for (const Command& command : commands()) {
    text += "  " + command.name + std::string(width + 2 - command.name.size(), ' ') + command.summary + "\n";
  }
  return text + "\n`graft VERB --help` describes a verb, with an example.\n";
}

struct Match {
  const Command* command;
  std::size_t words;  ///< how many arguments the verb's name takes
};

/// The verb that the arguments start with; a verb of two words wins over one of one.
std::optional<Match> find_command(const std::vector<std::string>& arguments) {
  for (std::size_t words = std::min<std::size_t>(2, arguments.size()); words > 0; --words) {
    const std::string name = join({arguments.data(), words}, " ");
    for (const Command& command : commands()) {
      if (command.name == name) return Match{&command, words};
    }
  }
  return std::nullopt;
}

[[noreturn]] void fail_unknown(const std::vector<std::string>& arguments) {
  const std::string two_words = join({arguments.data(), std::min<std::size_t>(2, arguments.size())}, " ");
  for (const char* later : kLater) {
    const bool named = arguments.front() == later || two_words == later;
    check(!named, ExitCode::kUsage, later, ": not yet in this version of graft",
          Hint{"`graft --help` lists the verbs there are"});
  }
  std::vector<std::string> names;
  for (const Command& command : commands()) names.push_back(command.name);
  std::optional<std::string> near = nearest(two_words, names);
  if (!near) near = nearest(arguments.front(), names);
  if (arguments.front() == "data") near = "data preview";
  if (arguments.front() == "adapter" && (!near || arguments.size() == 1)) near = "adapter inspect";
  fail(ExitCode::kUsage, printable(arguments.front()), ": unknown verb",
       Hint{near ? "did you mean `graft " + *near + "`?" : "`graft --help` lists the verbs"});
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"train", "train the adapter that a recipe describes", run_train, OnSignal::kAsked},
      {"validate", "check a recipe, its data and its base without training", run_validate},
      {"plan", "memory by part, steps, tokens, time and cost of a recipe, before anything is loaded",
       run_plan},
      {"show", "the resolved recipe, every key written", run_show},
      {"data preview", "the exact tokens that would be trained, and which are learned", run_data_preview},
      {"data stats", "counts and lengths of the rows, what is dropped and why", run_data_stats},
      {"tokenize", "ids, tokens and byte offsets of a text or a conversation", run_tokenize},
      {"generate", "one answer, streamed", run_generate, OnSignal::kAsked},
      {"chat", "answers in a loop", run_chat, OnSignal::kAsked},
      {"score", "loss and likeliest next tokens of rows", run_score},
      {"merge", "a base with an adapter in its weights, as a Hugging Face folder or a GGUF file", run_merge,
       OnSignal::kAsked},
      {"export", "an adapter for PEFT, vLLM or llama.cpp", run_export, OnSignal::kAsked},
      {"convert", "a GGUF base as a Hugging Face folder, or any base as a GGUF file", run_convert,
       OnSignal::kAsked},
      {"adapter inspect", "method, rank, norms and effective rank of an adapter, module by module",
       run_adapter_inspect},
      {"adapter check", "whether PEFT, vLLM and llama.cpp load an adapter, and what to do if not",
       run_adapter_check},
      {"adapter combine", "one adapter of several", run_adapter_combine},
      {"adapter resize", "an adapter with another rank", run_adapter_resize},
      {"adapter cast", "an adapter in another type of numbers", run_adapter_cast},
      {"adapter diff", "how far two adapters are apart", run_adapter_diff},
      {"adapter rename", "an adapter with repaired names of its tensors", run_adapter_rename},
      {"ls", "the recipes that come with graft", run_ls},
      {"cp", "copy a recipe, its paths rewritten", run_cp},
      {"schema", "JSON Schema of a recipe, for editors", run_schema},
      {"doctor", "what this machine offers; whether bases and adapters open", run_doctor},
      {"version", "versions of graft and of what it is built on", run_version},
  };
  return table;
}

ExitCode run_command_line(const std::vector<std::string>& arguments) {
  check(!arguments.empty(), ExitCode::kUsage, "no verb", Hint{"`graft --help` lists the verbs"});
  if (arguments.front() == "--version") return run_version({});
  const bool help = arguments.front() == "help";
  if (arguments.front() == "--help" || arguments.front() == "-h" || (help && arguments.size() == 1)) {
    print(help_text());
    return ExitCode::kDone;
  }
  const std::vector<std::string> words(arguments.begin() + (help ? 1 : 0), arguments.end());
  const std::optional<Match> match = find_command(words);
  if (!match) fail_unknown(words);
  if (help) return match->command->run({"--help"});
  if (match->command->on_signal == OnSignal::kAsked) catch_stop_signals();
  return match->command->run({words.begin() + static_cast<std::ptrdiff_t>(match->words), words.end()});
}

}  // namespace graft
