#include <filesystem>

#include "base/console.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/shelf.h"
#include "recipe/move_paths.h"

namespace graft {

ExitCode run_cp(const std::vector<std::string>& words) {
  std::string recipe, destination;
  bool json = false;
  Arguments parser({.verb = "cp",
                    .synopsis = "RECIPE DEST [--json]",
                    .about = "Copies a recipe (a file, or a name that `graft ls` lists) with its comments. "
                             "Relative paths in it "
                             "are rewritten, so that they still mean the same files.",
                    .example = "graft cp cooking my_recipe.yaml"});
  parser.flag("json", json, "one JSON document instead of lines");
  parser.operand("RECIPE", recipe);
  parser.operand("DEST", destination);
  if (!parser.parse(words)) return ExitCode::kDone;

  const Path from = find_recipe(recipe);
  Path to = destination;
  if (std::filesystem::is_directory(to)) to /= from.filename();
  check(!std::filesystem::exists(to), ExitCode::kUsage, to.string(), ": exists already",
        Hint{"choose another name, or remove it"});
  write_file(to, with_moved_paths(from, std::filesystem::absolute(to).parent_path()));
  if (json) {
    print_json({{"from", from.string()}, {"to", to.string()}});
  } else {
    print(to.string() + "\n");
  }
  return ExitCode::kDone;
}

}  // namespace graft
