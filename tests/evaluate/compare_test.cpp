#include "evaluate/compare.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace graft {
namespace {

TEST(Compare, EqualPredictionsDoNotDiffer) {
  const at::Tensor p = at::tensor({0.5, 0.25, 0.25, 0.1, 0.1, 0.8}).reshape({2, 3}).log();
  const Difference difference = compare(p, p);
  EXPECT_EQ(difference.positions, 2);
  EXPECT_EQ(difference.largest, 0.0);
  EXPECT_EQ(difference.rms, 0.0);
  EXPECT_EQ(difference.kl, 0.0);
  EXPECT_EQ(difference.top1, 1.0);
}

TEST(Compare, MeasuresAreThoseOfTheirFormulas) {
  const at::Tensor p = at::tensor({0.4, 0.6, 0.9, 0.1}, at::kDouble).reshape({2, 2}).log();
  const at::Tensor q = at::tensor({0.2, 0.8, 0.3, 0.7}, at::kDouble).reshape({2, 2}).log();
  const Difference difference = compare(p, q);
  const double gaps[] = {std::log(2.0), std::log(0.75), std::log(3.0), std::log(1.0 / 7)};
  EXPECT_NEAR(difference.largest, std::log(7.0), 1e-12);
  EXPECT_NEAR(difference.kl, (0.4 * gaps[0] + 0.6 * gaps[1] + 0.9 * gaps[2] + 0.1 * gaps[3]) / 2, 1e-12);
  double squares = 0;
  for (const double gap : gaps) squares += gap * gap;
  EXPECT_NEAR(difference.rms, std::sqrt(squares / 4), 1e-12);
  EXPECT_EQ(difference.top1, 0.5);
}

TEST(Compare, TheTailOfTheReferenceIsNotLookedAt) {
  at::Tensor p = at::zeros({1, 100}, at::kDouble), q = p.clone();
  p.slice(1, 0, 20).fill_(5.0);
  q.slice(1, 0, 20).fill_(5.0);
  q[0][50] = -3.0;
  EXPECT_EQ(compare(p, q).largest, 0.0);
}

}  // namespace
}  // namespace graft
