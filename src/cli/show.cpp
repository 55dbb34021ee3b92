#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "recipe/recipe.h"

namespace graft {

ExitCode run_show(const std::vector<std::string>& words) {
  std::string path;
  std::vector<std::string> overrides;
  bool json = false;
  Arguments parser(
      {.verb = "show",
       .synopsis = "RECIPE [key=value…] [--json]",
       .about =
           "Prints the resolved recipe: parents and overrides applied, paths absolute, defaults filled in.",
       .example = "graft show recipes/cooking.yaml train.epochs=1"});
  parser.flag("json", json, "one JSON document instead of YAML");
  parser.operand("RECIPE", path);
  parser.operands("key=value", overrides);
  if (!parser.parse(words)) return ExitCode::kDone;

  const Recipe recipe = load_recipe(path, overrides);
  if (json) {
    print_json(to_json(recipe));
  } else {
    print(to_yaml(recipe));
  }
  return ExitCode::kDone;
}

}  // namespace graft
