#include "cli/shelf.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/text.h"
#include "recipe/yaml.h"

namespace graft {
namespace {

/// The first sentence of the comment that the file starts with.
std::string first_sentence(const Path& path) {
  std::string comment;
  for (const std::string& line : split(read_file(path, kMaxRecipeBytes), '\n')) {
    if (!line.starts_with('#')) break;
    comment += (comment.empty() ? "" : " ") + std::string(trim(std::string_view(line).substr(1)));
  }
  return comment.substr(0, comment.find(". "));
}

}  // namespace

std::vector<ShelfRecipe> shipped_recipes() {
  const Path program = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::vector<ShelfRecipe> recipes;
  for (const Path& folder : {program / "../recipes", program / "../share/graft/recipes"}) {
    if (!std::filesystem::is_directory(folder)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(folder.lexically_normal())) {
      const Path& path = entry.path();
      if (path.extension() == ".yaml") recipes.push_back({path.stem().string(), path, first_sentence(path)});
    }
    break;
  }
  check(!recipes.empty(), (program / "../recipes").lexically_normal().string(), ": no shipped recipes",
        Hint{"they are in the folder recipes of graft's source"});
  std::sort(recipes.begin(), recipes.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return recipes;
}

Path find_recipe(const std::string& path_or_name) {
  if (std::filesystem::exists(path_or_name)) return path_or_name;
  const std::vector<ShelfRecipe> recipes = shipped_recipes();
  std::vector<std::string> names;
  for (const ShelfRecipe& recipe : recipes) {
    if (recipe.name == path_or_name) return recipe.path;
    names.push_back(recipe.name);
  }
  const auto near = nearest(path_or_name, names);
  fail(printable(path_or_name), ": no such file or shipped recipe",
       Hint{near ? "did you mean " + *near + "?" : "`graft ls` lists the shipped recipes"});
}

}  // namespace graft
