#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace graft {

/// One evaluation of the held-out rows.
struct Evaluation {
  std::int64_t step = 0;
  double loss = 0.0;
  std::int64_t tokens = 0;
};

/// Everything of a run that is neither a tensor nor a pure function of the recipe: state.json of a
/// checkpoint.
struct RunState {
  std::int64_t step = 0;  ///< optimizer steps done
  std::int64_t best_step = -1;
  double best_loss = std::numeric_limits<double>::infinity();
  std::int64_t evaluations_without_better = 0;
  std::vector<Evaluation> evaluations;
  std::int64_t trained_tokens = 0;
  double seconds = 0.0;             ///< wall time of training, over all resumes
  double first_step_seconds = 0.0;  ///< from exec to the end of the first step of the run
  double last_loss = 0.0;
  std::int64_t micro_batch_tokens = 0;
  std::map<std::string, std::string> hashes;  ///< of recipe, base, tokenizer, data
};

Json to_json(const RunState& state);
/// Errors as JsonView's getters: a state.json that lacks a key names it.
RunState run_state_from(const JsonView& json);

}  // namespace graft
