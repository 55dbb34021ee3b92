#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "peft/adapter_set.h"
#include "train/adamw.h"
#include "train/state.h"

namespace graft {

/// A checkpoint is a folder `step-000100` that holds adapter/ (PEFT's files), optimizer.safetensors,
/// state.json and, written last, MANIFEST.json with the size and SHA-256 of each other file. It appears whole
/// or not at all.
Path checkpoint_path(const Path& checkpoints, std::int64_t step);

/// Writes the checkpoint of state.step. A folder of that step that is there already (it was not valid) is
/// replaced.
void save_checkpoint(const Path& checkpoints, const RunState& state, const AdapterSet& adapters,
                     const AdamW& optimizer, const std::string& base_path,
                     const std::map<std::string, std::string>& adapter_metadata);

/// The checkpoint of the highest step whose manifest holds, and why each newer one was passed over.
struct CheckpointChoice {
  std::optional<Path> path;
  std::vector<std::string>
      rejected;  ///< "step-000200: optimizer.safetensors has another SHA-256 than its manifest"
};
CheckpointChoice newest_checkpoint(const Path& checkpoints);

/// The state.json of a checkpoint.
RunState read_state(const Path& checkpoint);

/// Copies a checkpoint's tensors into the adapters and the optimizer and returns its state. Errors name file
/// and tensor.
RunState restore_checkpoint(const Path& checkpoint, AdapterSet& adapters, AdamW& optimizer);

/// Removes what no resume needs: all but the `keep_last` newest steps and `best_step`, and what a kill left
/// half-made.
void prune_checkpoints(const Path& checkpoints, std::int64_t keep_last, std::int64_t best_step);

}  // namespace graft
