#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "recipe/recipe.h"

namespace graft {
namespace {

TEST(RecipeShelf, EveryShippedRecipeLoadsIsCommentedAndIsListedInItsReadme) {
  const Path shelf = Path(GRAFT_SOURCE_DIR) / "recipes";
  const std::string readme = read_file(shelf / "README.md", 1 << 20);
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(shelf)) {
    if (entry.path().extension() != ".yaml") continue;
    ++count;
    const std::string text = read_file(entry.path(), 1 << 20);
    EXPECT_TRUE(text.starts_with("# ")) << entry.path();
    EXPECT_NE(readme.find(entry.path().filename().string()), std::string::npos) << entry.path();
    const Recipe recipe = load_recipe(entry.path());
    for (const DataSource& source : recipe.data.train)
      EXPECT_TRUE(std::filesystem::exists(source.path)) << source.path;
    for (const DataSource& source : recipe.data.eval)
      EXPECT_TRUE(std::filesystem::exists(source.path)) << source.path;
  }
  EXPECT_GE(count, 3);
}

}  // namespace
}  // namespace graft
