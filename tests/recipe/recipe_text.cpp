#include "recipe/recipe_text.h"

#include <filesystem>

#include "base/file.h"
#include "temporary_folder.h"

namespace graft {
namespace {

/// The working directory is a new folder for as long as the object lives.
class InFreshFolder {
 public:
  InFreshFolder() : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(folder_.path());
  }
  ~InFreshFolder() { std::filesystem::current_path(before_); }
  InFreshFolder(const InFreshFolder&) = delete;

 private:
  TemporaryFolder folder_;
  Path before_;
};

}  // namespace

Recipe load_text(const std::string& text, const std::vector<std::string>& overrides) {
  const InFreshFolder folder;
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
