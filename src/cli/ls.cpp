#include <algorithm>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/shelf.h"

namespace graft {

ExitCode run_ls(const std::vector<std::string>& words) {
  bool json = false;
  Arguments parser({.verb = "ls",
                    .synopsis = "[--json]",
                    .about = "Lists the recipes that come with graft.",
                    .example = "graft ls"});
  parser.flag("json", json, "one JSON document instead of lines");
  if (!parser.parse(words)) return ExitCode::kDone;

  const std::vector<ShelfRecipe> recipes = shipped_recipes();
  Json list = Json::array();
  std::size_t width = 0;
  for (const ShelfRecipe& recipe : recipes) {
    width = std::max(width, recipe.name.size());
    list.push_back({{"name", recipe.name}, {"path", recipe.path.string()}, {"about", recipe.about}});
  }
  if (json) {
    print_json(list);
    return ExitCode::kDone;
  }
  for (const ShelfRecipe& recipe : recipes) {
    print(recipe.name + std::string(width + 2 - recipe.name.size(), ' ') + recipe.about + "\n");
  }
  return ExitCode::kDone;
}

}  // namespace graft
