#pragma once

#include <cstdint>

#include "train/options.h"

namespace graft {

/// Factor of the peak learning rate for optimizer step `step` (0-based) of `total`: linear warm-up to 1, then
/// the named decay down to min_lr_ratio at the last step; constant stays at 1. Pure. In (0, 1] but for a
/// min_lr_ratio of 0. Source: get_cosine_with_min_lr_schedule_with_warmup and its kin in transformers.
double learning_rate_factor(const ScheduleOptions& schedule, std::int64_t step, std::int64_t total);

/// Steps of warm-up: warmup_steps where it is given, else warmup_ratio of all steps, rounded up.
std::int64_t warmup_steps(const ScheduleOptions& schedule, std::int64_t total);

}  // namespace graft
