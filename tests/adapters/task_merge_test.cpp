#include "adapters/task_merge.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include <cmath>

namespace graft {
namespace {

TEST(TaskMerge, DareKeepsTheShareAndTheMean) {
  constexpr double kDensity = 0.3;
  constexpr std::int64_t kCount = 200000;
  const at::Tensor ones = at::ones({kCount});
  const TaskMerge how{.pruning = Pruning::kRandom, .density = kDensity, .seed = 3};
  const at::Tensor merged = merge_tasks({ones}, {1.0}, how);
  const double kept = merged.ne(0).to(at::kDouble).mean().item<double>();
  const double deviation = std::sqrt(kDensity * (1 - kDensity) / kCount);
  EXPECT_NEAR(kept, kDensity, 5 * deviation);
  // What is kept is divided by the density: the mean stays.
  EXPECT_NEAR(merged.to(at::kDouble).mean().item<double>(), 1.0, 5 * deviation / kDensity);
  EXPECT_TRUE(
      at::logical_or(merged.eq(0), merged.eq(1.0F / static_cast<float>(kDensity))).all().item<bool>());
}

TEST(TaskMerge, DareChoosesForEachTaskAnew) {
  const at::Tensor ones = at::ones({1000});
  const TaskMerge how{.pruning = Pruning::kRandom, .density = 0.5};
  // Both kept 4, one kept 2, none 0: a quarter, a half, a quarter where the choices are independent.
  const at::Tensor merged = merge_tasks({ones, ones}, {1.0, 1.0}, how);
  EXPECT_NEAR(merged.eq(2).to(at::kDouble).mean().item<double>(), 0.5, 0.1);
  EXPECT_NEAR(merged.eq(4).to(at::kDouble).mean().item<double>(), 0.25, 0.1);
}

TEST(TaskMerge, TiesElectsTheSignAndAveragesThoseWhoHaveIt) {
  const at::Tensor one = at::tensor({4.0F, -1.0F, 3.0F, 1.0F}), two = at::tensor({-1.0F, -2.0F, 5.0F, -1.0F});
  TaskMerge how{.elects_sign = true};
  // A tie of values counts as positive.
  EXPECT_TRUE(merge_tasks({one, two}, {1.0, 1.0}, how).equal(at::tensor({4.0F, -1.5F, 4.0F, 1.0F})));
  EXPECT_TRUE(merge_tasks({one, two}, {0.5, 2.0}, how).equal(at::tensor({2.0F, -2.25F, 5.75F, 0.5F})));
  how.majority = MajoritySign::kFrequency;
  const at::Tensor three = at::tensor({-1.0F, 1.0F, 1.0F, -1.0F});
  EXPECT_TRUE(
      merge_tasks({one, two, three}, {1.0, 1.0, 1.0}, how).equal(at::tensor({-1.0F, -1.5F, 3.0F, -1.0F})));
}

TEST(TaskMerge, MagnitudeKeepsTheLargest) {
  const at::Tensor task = at::tensor({0.5F, -3.0F, 1.0F, 2.0F, -0.1F});
  const TaskMerge how{.pruning = Pruning::kMagnitude, .density = 0.4};
  EXPECT_TRUE(merge_tasks({task}, {2.0}, how).equal(at::tensor({0.0F, -6.0F, 0.0F, 4.0F, 0.0F})));
}

}  // namespace
}  // namespace graft
