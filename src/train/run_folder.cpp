#include "train/run_folder.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"

namespace graft {
namespace {

constexpr std::array<std::string_view, 7> kRunEntries = {"adapter",  "checkpoints",   "recipe.resolved.yaml",
                                                         "run.json", "metrics.jsonl", "profile.json",
                                                         "train.log"};

// A lock or a temporary file that a killed run left: neither a run nor somebody's file.
bool is_left_over(const Path& entry) { return entry.filename().string().starts_with("."); }

}  // namespace

bool holds_run(const Path& folder) {
  return std::any_of(kRunEntries.begin(), kRunEntries.end(),
                     [&](std::string_view name) { return std::filesystem::exists(folder / name); });
}

void check_output_folder(const Path& folder, ExistingRun existing) {
  if (!std::filesystem::exists(folder)) return;
  check(std::filesystem::is_directory(folder), ExitCode::kUsage, "output_dir ", folder.string(),
        " is not a folder");
  if (holds_run(folder)) {
    check(existing != ExistingRun::kRefuse, ExitCode::kUsage, "output_dir ", folder.string(),
          " already holds a run",
          Hint{"--resume goes on with it, --overwrite removes it, output_dir=FOLDER writes elsewhere"});
    return;
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    check(is_left_over(entry.path()), ExitCode::kUsage, "output_dir ", folder.string(),
          " holds files of something else (", entry.path().filename().string(), ")",
          Hint{"choose a new or an empty folder"});
  }
}

RunFolder::RunFolder(const Path& folder, ExistingRun existing) : path_(folder) {
  check_output_folder(folder, existing);
  make_folder(folder);
  lock_ = std::make_unique<FolderLock>(folder);
  if (existing == ExistingRun::kOverwrite) {
    for (const std::string_view name : kRunEntries) graft::remove_all(folder / name);
  }
  make_folder(checkpoints());
}

}  // namespace graft
