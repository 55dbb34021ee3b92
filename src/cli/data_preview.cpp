#include "data/preview.h"

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/output.h"
#include "cli/recipe_arguments.h"

namespace graft {
namespace {

/// Rows shown to a reader who did not say how many.
constexpr std::int64_t kShownRows = 5;

void print_example(const Example& example, const Tokenizer& tokenizer, PreviewMarks marks) {
  print("--- " + example.source.text() + ": " + format_count(std::ssize(example.tokens)) + " tokens, " +
        format_count(example.target_count()) + " learned\n");
  print(preview_text(example, tokenizer, marks) + "\n");
}

}  // namespace

ExitCode run_data_preview(const std::vector<std::string>& words) {
  RecipeArguments given;
  std::int64_t rows = -1;
  bool held_out = false;
  Arguments parser({.verb = "data preview",
                    .synopsis = "RECIPE [key=value…] [--rows N] [--eval] [--json]",
                    .about = "Shows the exact tokens that would be trained, what is learned in green (in [[ "
                             "]] where stdout is no "
                             "terminal). --json prints every example on a line, labels as Hugging Face "
                             "writes them (not shifted).",
                    .example = "graft data preview recipes/cooking.yaml --rows 3"});
  parser.option("rows", "N", rows, "examples shown; 0: all (without it: 5, all with --json)");
  parser.flag("eval", held_out, "the held-out rows instead of the training rows");
  given.declare(parser, "one JSON document per example");
  if (!parser.parse(words)) return ExitCode::kDone;

  const Job job = load_job(given.load());
  const std::vector<Example>& examples = held_out ? job.data.eval : job.data.train;
  if (rows < 0) rows = given.json ? 0 : kShownRows;
  const std::size_t shown =
      rows == 0 ? examples.size() : std::min(examples.size(), static_cast<std::size_t>(rows));
  const PreviewMarks marks = stdout_is_terminal() ? PreviewMarks::kColour : PreviewMarks::kBrackets;
  for (std::size_t i = 0; i < shown; ++i) {
    if (given.json) {
      print_json(preview_json(examples[i]));
    } else {
      print_example(examples[i], *job.tokenizer, marks);
    }
  }
  if (!given.json)
    say(format_count(static_cast<std::int64_t>(shown)) + " of " + format_count(std::ssize(examples)) +
        " examples");
  return ExitCode::kDone;
}

}  // namespace graft
