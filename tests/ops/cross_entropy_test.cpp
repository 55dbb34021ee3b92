#include "ops/cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "ops/gradients.h"

namespace graft {
namespace {

using testing::gradients;
using testing::random;
using testing::relative_difference;
using testing::Tensors;

constexpr double kFp32 = 2e-6;
constexpr double kBf16Loss = 2e-3;      // without bf16 products, logits are rounded once
constexpr double kBf16Gradient = 1e-2;  // probabilities and products rounded to 8 bits

at::Tensor reference(const at::Tensor& hidden, const at::Tensor& w, const at::Tensor& targets) {
  return at::log_softmax(at::linear(hidden, w), 1).gather(1, targets.unsqueeze(1)).squeeze(1).neg();
}

TEST(LinearCrossEntropy, MatchesFiniteDifferences) {
  at::manual_seed(1);
  const auto head = dense_weight(random({13, 6}));
  const auto targets = at::tensor({0, 12, 5, 5}, at::kLong);
  testing::expect_finite_differences(
      [&](const Tensors& in) { return linear_cross_entropy(in[0], head, targets); }, {random({4, 6})});
}

TEST(LinearCrossEntropy, WithScaleAndSoftCapMatchesFiniteDifferences) {
  at::manual_seed(5);
  const auto head = dense_weight(random({13, 6}));
  const auto targets = at::tensor({0, 12, 5, 5}, at::kLong);
  for (const LogitOptions& options :
       {LogitOptions{.scale = 0.4}, LogitOptions{.softcap = 1.5}, LogitOptions{.scale = 3.0, .softcap = 2.0}})
    testing::expect_finite_differences(
        [&](const Tensors& in) { return linear_cross_entropy(in[0], head, targets, options); },
        {random({4, 6})});
}

struct Sizes {
  std::int64_t rows, vocabulary, width;
};
constexpr Sizes kSizes[] = {{530, 301, 24},     // many chunks, vocabulary and rows that fill no step
                            {100, 1500, 2048},  // W is packed in more than one stretch
                            {33, 256, 70},      // whole blocks, width that fills no step
                            {5, 3000, 24}};     // few rows

TEST(LinearCrossEntropy, CapsLogitsInEveryTypeAndSize) {
  constexpr double kCap = 2.0;
  at::manual_seed(6);
  for (const auto& [rows, vocabulary, width] : kSizes) {
    const auto targets = at::randint(vocabulary, {rows}, at::kLong);
    const auto dloss = random({rows});
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto hidden = random({rows, width}, dtype), w = (random({vocabulary, width}) * 0.4).to(dtype);
      ASSERT_GT(at::linear(hidden, w).abs().max().item<double>(), 2 * kCap) << "the cap does nothing";
      const auto want_of = [&](const Tensors& in) {
        const auto capped = at::tanh(at::linear(in[0], w.to(at::kDouble)) / kCap) * kCap;
        return at::log_softmax(capped, 1).gather(1, targets.unsqueeze(1)).squeeze(1).neg();
      };
      const auto op = [&](const Tensors& in) {
        return linear_cross_entropy(in[0], dense_weight(w), targets, {.softcap = kCap});
      };
      EXPECT_LT(relative_difference(op({hidden}), want_of({hidden.to(at::kDouble)})), kFp32) << vocabulary;
      const auto want = gradients(want_of, {hidden.to(at::kDouble)}, dloss)[0];
      const auto got = gradients(op, {hidden}, dloss.to(at::kFloat))[0];
      EXPECT_EQ(got.scalar_type(), dtype);
      EXPECT_LT(relative_difference(got, want), dtype == at::kFloat ? kFp32 : kBf16Gradient) << vocabulary;
    }
  }
}

TEST(LinearCrossEntropy, MatchesAtenInEveryTypeAndSize) {
  at::manual_seed(2);
  for (const auto& [rows, vocabulary, width] : kSizes) {
    const auto targets = at::randint(vocabulary, {rows}, at::kLong);
    const auto dloss = random({rows});
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const bool exact = dtype == at::kFloat;
      const auto hidden = random({rows, width}, dtype), w = (random({vocabulary, width}) * 0.2).to(dtype);
      const auto wide = w.to(at::kDouble);
      const auto op = [&](const Tensors& in) {
        return linear_cross_entropy(in[0], dense_weight(w), targets);
      };
      const auto loss = op({hidden});
      EXPECT_EQ(loss.scalar_type(), at::kFloat);
      EXPECT_LT(relative_difference(loss, reference(hidden.to(at::kDouble), wide, targets)),
                exact ? kFp32 : kBf16Loss)
          << vocabulary;
      const auto want = gradients([&](const Tensors& in) { return reference(in[0], wide, targets); },
                                  {hidden.to(at::kDouble)}, dloss)[0];
      const auto got = gradients(op, {hidden}, dloss.to(at::kFloat))[0];
      EXPECT_EQ(got.scalar_type(), dtype);
      EXPECT_LT(relative_difference(got, want), exact ? kFp32 : kBf16Gradient) << vocabulary;
    }
  }
}

TEST(LinearCrossEntropy, DependsOnNeitherThreadsNorTheOtherRows) {
  at::manual_seed(4);
  const auto head = dense_weight(random({700, 64}, at::kBFloat16));
  const auto hidden = random({300, 64}, at::kBFloat16);
  const auto targets = at::randint(700, {300}, at::kLong);
  const auto whole = linear_cross_entropy(hidden, head, targets);
  const auto part = linear_cross_entropy(hidden.slice(0, 0, 211), head, targets.slice(0, 0, 211));
  EXPECT_TRUE(at::equal(whole.slice(0, 0, 211), part));
  const auto threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 3 : 1);
  EXPECT_TRUE(at::equal(whole, linear_cross_entropy(hidden, head, targets)));
  at::set_num_threads(threads);
}

TEST(LinearCrossEntropy, KeepsNoGraphWhereNothingRequiresGrad) {
  at::manual_seed(3);
  const auto hidden = random({3, 4}, at::kFloat);
  const auto loss =
      linear_cross_entropy(hidden, dense_weight(random({7, 4}, at::kFloat)), at::zeros({3}, at::kLong));
  EXPECT_FALSE(loss.requires_grad());
}

TEST(LinearCrossEntropy, IsFiniteForHugeLogits) {
  const auto w = at::tensor({1.0, -1.0}, at::kFloat).view({2, 1});
  const auto hidden = at::tensor({3e4, -3e4}, at::kFloat).view({2, 1});
  const auto loss = linear_cross_entropy(hidden, dense_weight(w), at::tensor({0, 0}, at::kLong));
  EXPECT_TRUE(at::allclose(loss, at::tensor({0.0, 6e4}, at::kFloat)));
}

TEST(LinearCrossEntropy, RefusesTargetsOutsideTheVocabulary) {
  const auto head = dense_weight(at::zeros({7, 4}, at::kFloat));
  const auto hidden = at::zeros({2, 4}, at::kFloat);
  for (const std::int64_t bad : {-1L, 7L, -100L})
    EXPECT_THROW(linear_cross_entropy(hidden, head, at::tensor({std::int64_t{3}, bad}, at::kLong)), Error)
        << bad;
}

TEST(LinearCrossEntropy, OfNoRowsIsEmpty) {
  const auto head = dense_weight(at::zeros({7, 4}, at::kFloat));
  EXPECT_EQ(linear_cross_entropy(at::zeros({0, 4}, at::kFloat), head, at::zeros({0}, at::kLong)).numel(), 0);
}

}  // namespace
}  // namespace graft
