#pragma once

#include <string>

#include "data/dataset.h"
#include "train/plan.h"
#include "train/run_folder.h"
#include "train/state.h"

namespace graft {

/// What run.json says of a run besides its result.
struct RunRecord {
  std::string base_path;
  std::string chat_template;  ///< its name, or "none"
  std::uint64_t seed = 0;
  std::int64_t trainable_parameters = 0;
  DataReport train_data, eval_data;
  Plan plan;
  std::map<std::string, std::string> hashes;
};

/// "result" of run.json. The losses are those before training and of the adapter that is kept; null without
/// evaluation rows.
Json result_json(const RunState& state);

/// Writes run.json; with `result` the run is finished. Written whole each time.
void write_run_record(const RunFolder& folder, const RunRecord& record, const RunState* result);

/// True where run.json says that the run finished.
bool run_is_finished(const Path& folder);

}  // namespace graft
