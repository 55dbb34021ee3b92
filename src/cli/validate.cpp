#include <optional>
#include <utility>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/output.h"
#include "cli/portability_report.h"
#include "cli/recipe_arguments.h"
#include "train/run_folder.h"

namespace graft {
namespace {

/// What was found to be in order.
struct Findings {
  std::string recipe, base, output_dir;
  std::int64_t layers, modules, parameters, examples, held_out, target_tokens, dropped;
  bool holds_run;
  std::vector<Verdict> verdicts;  ///< of the loaders that were asked for
};

Json to_json(const Findings& found) {
  Json document = {{"recipe", found.recipe},
                   {"valid", true},
                   {"base", {{"path", found.base}, {"layers", found.layers}}},
                   {"adapter", {{"modules", found.modules}, {"parameters", found.parameters}}},
                   {"data",
                    {{"examples", found.examples},
                     {"held_out", found.held_out},
                     {"target_tokens", found.target_tokens},
                     {"dropped", found.dropped}}},
                   {"output_dir", {{"path", found.output_dir}, {"holds_run", found.holds_run}}}};
  if (!found.verdicts.empty()) document["for"] = verdicts_json(found.verdicts);
  return document;
}

void print_lines(const Findings& found) {
  print("base     " + found.base + ": " + std::to_string(found.layers) + " layers\n");
  print("data     " + format_count(found.examples) + " examples, " + format_count(found.target_tokens) +
        " learned tokens, " + format_count(found.held_out) + " held out, " + format_count(found.dropped) +
        " rows dropped\n");
  print("adapter  " + format_count(found.modules) + " modules, " + format_count(found.parameters) +
        " parameters\n");
  if (found.holds_run)
    print("output   " + found.output_dir + " holds a run: train needs --resume or --overwrite\n");
  print(verdicts_text(found.verdicts));
  print(found.recipe + ": valid\n");
}

}  // namespace

ExitCode run_validate(const std::vector<std::string>& words) {
  RecipeArguments given;
  std::optional<std::string> loaders;
  Arguments parser(
      {.verb = "validate",
       .synopsis = "RECIPE [key=value…] [--for peft|vllm|llama.cpp] [--json]",
       .about =
           "Checks everything that can be checked without training: the recipe, every row of its data, the "
           "base's files, that its target modules exist. --for: also whether other programs will load the "
           "adapter and compute with it what is trained (exit code 3 where not).",
       .example = "graft validate recipes/cooking.yaml --for vllm"});
  parser.option("for", "peft|vllm|llama.cpp", loaders,
                "judge the adapter before it is trained; several with commas");
  given.declare(parser, "one JSON document instead of lines");
  if (!parser.parse(words)) return ExitCode::kDone;

  Recipe wanted = given.load();
  const bool resumes = holds_run(wanted.output_dir);
  check_output_folder(wanted.output_dir, resumes ? ExistingRun::kResume : ExistingRun::kRefuse);
  const Job job = load_job(std::move(wanted));
  const Recipe& recipe = job.recipe;
  Decoder model = load_model(recipe.model);
  const AdapterSet adapters = attach_adapters(model, recipe.lora, recipe.seed);

  const DataReport& rows = job.data.train_report;
  Findings found{.recipe = given.path,
                 .base = recipe.model.path,
                 .output_dir = recipe.output_dir,
                 .layers = model.config.num_hidden_layers,
                 .modules = std::ssize(adapters.modules),
                 .parameters = adapters.parameter_count(),
                 .examples = std::ssize(job.data.train),
                 .held_out = std::ssize(job.data.eval),
                 .target_tokens = rows.target_tokens,
                 .dropped = rows.dropped_long + rows.dropped_without_target,
                 .holds_run = resumes,
                 .verdicts = {}};
  if (loaders) found.verdicts = verdicts_of(facts_of(adapters), *loaders, {}, recipe.output_dir + "/adapter");
  if (given.json) {
    print_json(to_json(found));
  } else {
    print_lines(found);
  }
  return is_portable(found.verdicts) ? ExitCode::kDone : ExitCode::kBadInput;
}

}  // namespace graft
