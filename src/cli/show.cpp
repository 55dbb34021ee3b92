#include "cli/commands.h"
#include "cli/output.h"
#include "cli/recipe_arguments.h"

namespace graft {

ExitCode run_show(const std::vector<std::string>& words) {
  RecipeArguments given;
  Arguments parser(
      {.verb = "show",
       .synopsis = "RECIPE [key=value…] [--json]",
       .about =
           "Prints the resolved recipe: parents and overrides applied, paths absolute, defaults filled in.",
       .example = "graft show recipes/cooking.yaml train.epochs=1"});
  given.declare(parser, "one JSON document instead of YAML");
  if (!parser.parse(words)) return ExitCode::kDone;

  const Recipe recipe = given.load();
  if (given.json) {
    print_json(to_json(recipe));
  } else {
    print(to_yaml(recipe));
  }
  return ExitCode::kDone;
}

}  // namespace graft
