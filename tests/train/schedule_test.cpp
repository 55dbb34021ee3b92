#include "train/schedule.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

constexpr double kExact = 1e-12;  // the same formula in double

TEST(Schedule, WarmsUpLinearlyAndLearnsFromTheFirstStep) {
  const ScheduleOptions schedule{.name = ScheduleName::kCosine, .warmup_steps = 4};
  EXPECT_NEAR(learning_rate_factor(schedule, 0, 100), 0.25, kExact);
  EXPECT_NEAR(learning_rate_factor(schedule, 3, 100), 1.0, kExact);
}

TEST(Schedule, CosineEndsAtItsFloorAndPassesItsMiddle) {
  const ScheduleOptions schedule{.name = ScheduleName::kCosine, .warmup_ratio = 0.0, .min_lr_ratio = 0.2};
  EXPECT_NEAR(learning_rate_factor(schedule, 0, 101), 1.0, kExact);
  EXPECT_NEAR(learning_rate_factor(schedule, 50, 101), 0.6, kExact);
  EXPECT_NEAR(learning_rate_factor(schedule, 100, 101), 0.2, kExact);
}

TEST(Schedule, LinearFallsEvenly) {
  const ScheduleOptions schedule{.name = ScheduleName::kLinear, .warmup_ratio = 0.0, .min_lr_ratio = 0.0};
  EXPECT_NEAR(learning_rate_factor(schedule, 25, 101), 0.75, kExact);
  EXPECT_NEAR(learning_rate_factor(schedule, 100, 101), 0.0, kExact);
}

TEST(Schedule, ConstantStaysAfterWarmUp) {
  const ScheduleOptions schedule{.name = ScheduleName::kConstant, .warmup_ratio = 0.1};
  EXPECT_EQ(warmup_steps(schedule, 95), 10);
  EXPECT_LT(learning_rate_factor(schedule, 8, 95), 1.0);
  for (const std::int64_t step : {9, 50, 94}) EXPECT_EQ(learning_rate_factor(schedule, step, 95), 1.0);
}

TEST(Schedule, OneStepRunsAtThePeak) { EXPECT_EQ(learning_rate_factor({}, 0, 1), 1.0); }

TEST(Schedule, NeverRisesAfterWarmUp) {
  for (const ScheduleName name : {ScheduleName::kCosine, ScheduleName::kLinear, ScheduleName::kConstant}) {
    const ScheduleOptions schedule{.name = name};
    double before = 1.0;
    for (std::int64_t step = warmup_steps(schedule, 200); step < 200; ++step) {
      const double factor = learning_rate_factor(schedule, step, 200);
      EXPECT_LE(factor, before);
      EXPECT_GE(factor, schedule.min_lr_ratio - kExact);
      before = factor;
    }
  }
}

}  // namespace
}  // namespace graft
