#pragma once

#include "train/flops.h"
#include "train/plan.h"
#include "train/trainer.h"

namespace graft {

/// What a run computes, counted from the lengths of its examples before it starts.
struct Workload {
  std::int64_t tokens = 0, target_tokens = 0;  ///< trained, each pass counted
  std::int64_t micro_steps = 0;
  double passes = 0.0;     ///< over the data
  StepCounts short_packs;  ///< of micro-steps under plan.recompute; tokens as computed, heights rounded up …
  StepCounts long_packs;   ///< … and of those under plan.recompute_long
  PackSize largest_short, largest_long;
  StepCounts evaluated;  ///< over all evaluations of the held-out rows
  std::int64_t evaluations = 0;

  StepCounts trained() const { return StepCounts(short_packs) += long_packs; }
};

/// Counts the steps of the first epoch as training would cut them; what lies beyond it is taken to be like
/// it.
Workload count_workload(const Dataset& data, const TrainingOptions& options, const Plan& plan);

}  // namespace graft
