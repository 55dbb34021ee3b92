#pragma once

#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "train/state.h"

namespace graft {

/// One line of metrics.jsonl for a training step (DESIGN 7).
struct StepMetrics {
  std::int64_t step = 0;  ///< 1-based
  double epoch = 0.0;     ///< passes over the data so far, with fraction
  double loss = 0.0;      ///< mean over the step's targets, nats
  double lr = 0.0;
  double grad_norm = 0.0;  ///< before clipping
  std::int64_t tokens = 0, target_tokens = 0;
  double step_seconds = 0.0;  ///< from the first forward to the end of the optimizer's update
  double seconds = 0.0;       ///< of the run so far, over all resumes
  std::uint64_t rss_bytes = 0;
};

/// "step" … "rss_bytes" in DESIGN's order.
std::string metrics_line(const StepMetrics& metrics);
std::string metrics_line(const Evaluation& evaluation);

/// One line for a reader: `step  12/340   3.5%  loss 1.9234  lr 9.8e-04  norm 0.82  712 tok/s  1.21 GB  left
/// 3m12s`.
std::string console_line(const StepMetrics& metrics, std::int64_t total_steps, double seconds_left);
/// `step  50/340  eval loss 1.8412  perplexity 6.30  (best)`.
std::string console_line(const Evaluation& evaluation, std::int64_t total_steps, bool best);

/// Rewrites metrics.jsonl (whole-file replace) without the lines of steps after `step` and without a torn
/// last line. Nothing where there is no such file.
void cut_metrics(const Path& path, std::int64_t step);

}  // namespace graft
