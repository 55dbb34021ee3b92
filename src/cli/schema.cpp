#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "recipe/recipe.h"

namespace graft {

ExitCode run_schema(const std::vector<std::string>& words) {
  bool json = false;
  Arguments parser(
      {.verb = "schema",
       .synopsis = "",
       .about =
           "Prints the JSON Schema of a recipe (draft 2020-12): editors complete and check keys with it.",
       .example = "graft schema > recipe.schema.json"});
  parser.flag("json", json, "the schema on one line");
  if (!parser.parse(words)) return ExitCode::kDone;
  constexpr int kIndent = 2;
  print(to_text(recipe_schema(), json ? -1 : kIndent) + "\n");
  return ExitCode::kDone;
}

}  // namespace graft
