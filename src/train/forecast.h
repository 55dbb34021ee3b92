#pragma once

#include "train/workload.h"

namespace graft {

/// What a run will take.
struct Forecast {
  MemoryBytes memory;  ///< at its peak
  StepFlops training;  ///< all that is computed, also what is computed again
  StepFlops evaluation;
  double training_seconds = 0.0;  ///< 0: no rate was given
  double evaluation_seconds = 0.0;

  double seconds() const { return training_seconds + evaluation_seconds; }
};

/// gemm_rate: FLOP/s of the base's products on this machine (probe_gemm), or 0. Pure. FLOPs as
/// reference/performance.md 2.1 counts them, and what plan computes again.
Forecast make_forecast(const TrainingShape& shape, const Plan& plan, const Workload& work,
                       std::int64_t data_tokens, double gemm_rate);

/// The mean micro-step of a run, whose shapes a probe measures: tokens and rows with a target, at least 1.
PackSize mean_pack(const Workload& work);

}  // namespace graft
