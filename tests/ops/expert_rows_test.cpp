#include "ops/expert_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "ops/gradients.h"

namespace graft {
namespace {

using testing::gradients;
using testing::random;
using testing::relative_difference;
using testing::Tensors;

constexpr double kBf16 = 6e-3;  // one rounding of each gradient and of the sum

at::Tensor chosen() { return at::tensor({3, 0, 0, 2, 2, 3, 3, 0}, at::kLong).view({4, 2}); }

TEST(ExpertRows, OfAnExpertLieTogetherInTheOrderOfTheirTokens) {
  const ExpertRowsPtr rows = expert_rows(chosen(), 5);
  EXPECT_EQ(rows->starts, (std::vector<std::int64_t>{0, 3, 3, 5, 8, 8}));
  EXPECT_EQ(rows->tokens, (std::vector<std::int64_t>{0, 1, 3, 1, 2, 0, 2, 3}));
  EXPECT_EQ(rows->rows, (std::vector<std::int64_t>{5, 0, 1, 3, 4, 6, 7, 2}));
  EXPECT_EQ(rows->sizes(), (std::vector<std::int64_t>{3, 0, 2, 3, 0}));
}

/// What a mixture does, expert by expert: rows there, times the expert, and back.
at::Tensor mixture(const Tensors& in) {
  const ExpertRowsPtr rows = expert_rows(chosen(), 5);
  const auto parts = gather_rows(in[0], rows).split_with_sizes(rows->sizes());
  std::vector<at::Tensor> ys;
  for (std::size_t e = 0; e < parts.size(); ++e) ys.push_back(parts[e] * in[3][static_cast<std::int64_t>(e)]);
  return combine_rows(at::cat(ys), in[1], in[2], rows);
}

/// The same without sorting: every expert over every token, counted where it was chosen.
at::Tensor reference(const Tensors& in) {
  const at::Tensor shares = at::zeros({4, 5}, in[1].options()).scatter(1, chosen(), in[1]);
  at::Tensor sum = in[2];
  for (std::int64_t e = 0; e < 5; ++e) sum = sum + shares.narrow(1, e, 1) * (in[0] * in[3][e]);
  return sum;
}

Tensors inputs(at::ScalarType dtype = at::kDouble) {
  return {random({4, 6}, dtype), random({4, 2}, dtype), random({4, 6}, dtype), random({5, 6}, dtype)};
}

TEST(ExpertRows, MatchFiniteDifferencesInInputWeightsAndResidual) {
  at::manual_seed(1);
  testing::expect_finite_differences(mixture, inputs());
}

TEST(ExpertRows, MatchAtenInEveryType) {
  at::manual_seed(2);
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-6}, std::pair{at::kBFloat16, kBf16}}) {
    const Tensors in = inputs(dtype);
    Tensors wide;
    for (const auto& each : in) wide.push_back(each.to(at::kDouble));
    const auto dy = random({4, 6}, dtype);
    EXPECT_LT(relative_difference(mixture(in), reference(wide)), tolerance);
    const auto got = gradients(mixture, in, dy), want = gradients(reference, wide, dy.to(at::kDouble));
    for (std::size_t i = 0; i < got.size(); ++i)
      EXPECT_LT(relative_difference(got[i], want[i]), tolerance) << "input " << i;
  }
}

TEST(ExpertRows, AResidualMayBeAbsent) {
  at::manual_seed(3);
  const ExpertRowsPtr rows = expert_rows(chosen(), 5);
  const at::Tensor ys = random({8, 6}).set_requires_grad(true), weights = random({4, 2});
  const at::Tensor y = combine_rows(ys, weights, {}, rows);
  EXPECT_EQ(relative_difference(y, combine_rows(ys, weights, at::zeros({4, 6}, at::kDouble), rows)), 0.0);
  torch::autograd::backward({y}, {at::ones_like(y)});
  EXPECT_TRUE(ys.grad().defined());
}

TEST(ExpertRows, AreTheSameToTheBitOnAnyNumberOfThreads) {
  at::manual_seed(4);
  const std::int64_t tokens = 500, experts = 16, k = 4;
  const at::Tensor ids = std::get<1>(random({tokens, experts}).topk(k, -1));
  const ExpertRowsPtr rows = expert_rows(ids, experts);
  const Tensors in{random({tokens, 96}, at::kFloat), random({tokens, k}, at::kFloat),
                   random({tokens, 96}, at::kFloat)};
  const auto run = [&](const Tensors& t) { return combine_rows(gather_rows(t[0], rows), t[1], t[2], rows); };
  const auto dy = random({tokens, 96}, at::kFloat);
  const int threads = at::get_num_threads();
  const at::Tensor y = run(in);
  const Tensors want = gradients(run, in, dy);
  at::set_num_threads(1);
  EXPECT_TRUE(at::equal(run(in), y));
  const Tensors got = gradients(run, in, dy);
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(at::equal(got[i], want[i])) << "input " << i;
  at::set_num_threads(threads);
}

}  // namespace
}  // namespace graft
