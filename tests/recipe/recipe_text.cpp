#include "recipe/recipe_text.h"

#include <unistd.h>

#include <filesystem>

#include "base/file.h"

namespace graft {
namespace {

/// The working directory for as long as the object lives: a new folder, removed at the end.
class FreshFolder {
 public:
  FreshFolder() : before_(std::filesystem::current_path()) {
    std::string name = (std::filesystem::temp_directory_path() / "graft_recipe_XXXXXX").string();
    folder_ = mkdtemp(name.data());
    std::filesystem::current_path(folder_);
  }
  ~FreshFolder() {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(folder_);
  }
  FreshFolder(const FreshFolder&) = delete;

 private:
  Path before_, folder_;
};

}  // namespace

Recipe load_text(const std::string& text, const std::vector<std::string>& overrides) {
  const FreshFolder folder;
  write_file("recipe.yaml", text);
  return load_recipe("recipe.yaml", overrides);
}

Recipe load_minimal(const std::string& text, const std::vector<std::string>& overrides) {
  return load_text(kMinimalRecipe + text, overrides);
}

Failure failure_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.code(), error.what(), error.hint()};
  }
  return {};
}

}  // namespace graft
