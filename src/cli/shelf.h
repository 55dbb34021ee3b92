#pragma once

#include <string>
#include <vector>

#include "base/file.h"

namespace graft {

/// A recipe that comes with graft.
struct ShelfRecipe {
  std::string name;  ///< "cooking"
  Path path;
  std::string about;  ///< the first sentence of its first comment
};

/// The shipped recipes, by name: of recipes/ beside the build folder, or of share/graft/recipes of an
/// installation. Error (kBadInput): there is no such folder.
std::vector<ShelfRecipe> shipped_recipes();

/// The file that the user means: a path, or the name of a shipped recipe. Error (kBadInput): neither.
Path find_recipe(const std::string& path_or_name);

}  // namespace graft
