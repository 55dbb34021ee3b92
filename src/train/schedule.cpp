#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace graft {

std::int64_t warmup_steps(const ScheduleOptions& schedule, std::int64_t total) {
  if (schedule.warmup_steps > 0) return schedule.warmup_steps;
  return static_cast<std::int64_t>(std::ceil(schedule.warmup_ratio * static_cast<double>(total)));
}

double learning_rate_factor(const ScheduleOptions& schedule, std::int64_t step, std::int64_t total) {
  const std::int64_t warmup = warmup_steps(schedule, total);
  // The first step already learns: step 0 of W warm-up steps has factor 1/W.
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (schedule.name == ScheduleName::kConstant) return 1.0;
  const auto decay_steps = static_cast<double>(std::max<std::int64_t>(1, total - 1 - warmup));
  const double progress = std::min(1.0, static_cast<double>(step - warmup) / decay_steps);
  const double shape = schedule.name == ScheduleName::kLinear
                           ? 1.0 - progress
                           : 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  return schedule.min_lr_ratio + (1.0 - schedule.min_lr_ratio) * shape;
}

}  // namespace graft
