#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/portability_report.h"

namespace graft {

ExitCode run_adapter_check(const std::vector<std::string>& words) {
  std::string folder, loaders;
  LoaderLimits limits;
  bool json = false;
  Arguments parser(
      {.verb = "adapter check",
       .synopsis = "A [--for peft|vllm|llama.cpp]",
       .about =
           "Says whether other programs load an adapter and compute with it what was trained, and what to do "
           "where they do not. Verdicts: loads; depends (on the base, or on how the program is started); "
           "differs (loads without a word and computes something else); refused. Exit code 3 where it "
           "differs or is refused.",
       .example = "graft adapter check runs/cooking/adapter --for vllm"});
  parser.option("for", "peft|vllm|llama.cpp", loaders, "one of them, or several with commas (all)");
  parser.option("max-lora-rank", "N", limits.max_lora_rank, "what vLLM is started with (16)");
  parser.flag("json", json, "one JSON document instead of lines");
  parser.operand("A", folder);
  if (!parser.parse(words)) return ExitCode::kDone;

  const std::vector<Verdict> verdicts =
      verdicts_of(facts_of(open_adapter_folder(folder)), loaders, limits, folder);
  if (json)
    print_json({{"adapter", folder}, {"for", verdicts_json(verdicts)}});
  else
    print(verdicts_text(verdicts));
  return is_portable(verdicts) ? ExitCode::kDone : ExitCode::kBadInput;
}

}  // namespace graft
