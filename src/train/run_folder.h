#pragma once

#include <memory>
#include <optional>

#include "base/file.h"

namespace graft {

/// What to do where output_dir holds a run already.
enum class ExistingRun { kRefuse, kResume, kOverwrite };

/// True where the folder has a file or folder that a run leaves.
bool holds_run(const Path& folder);

/// Checks, before anything is loaded, that a run may use the folder. Errors (kUsage): it holds a run and the
/// answer is kRefuse; it holds other files and no run, whatever the answer.
void check_output_folder(const Path& folder, ExistingRun existing);

/// The folder of a run, held by this process: the one place that knows its file names.
class RunFolder {
 public:
  /// Creates the folder, locks it; with kOverwrite removes the files of the run it holds, and only those.
  /// Errors: as check_output_folder; kInUse where another live process holds it.
  RunFolder(const Path& folder, ExistingRun existing);

  const Path& path() const { return path_; }
  Path adapter() const { return path_ / "adapter"; }
  Path checkpoints() const { return path_ / "checkpoints"; }
  Path recipe() const { return path_ / "recipe.resolved.yaml"; }
  Path record() const { return path_ / "run.json"; }
  Path metrics() const { return path_ / "metrics.jsonl"; }
  Path profile() const { return path_ / "profile.json"; }
  Path log() const { return path_ / "train.log"; }

 private:
  Path path_;
  std::unique_ptr<FolderLock> lock_;
};

}  // namespace graft
