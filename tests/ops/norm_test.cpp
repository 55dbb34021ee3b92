#include "ops/norm.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ops/gradients.h"

namespace graft {
namespace {

using testing::gradients;
using testing::random;
using testing::relative_difference;
using testing::Tensors;

constexpr double kEps = 1e-5;
constexpr double kFp32 = 1e-6;
constexpr double kBf16 = 4e-3;  // one rounding of the result against fp64, and of the normed x

at::Tensor reference(const at::Tensor& x, const at::Tensor& weight) {
  return x * at::rsqrt(x.pow(2).mean(-1, true) + kEps) * weight;
}

// LlamaRMSNorm, operation by operation.
at::Tensor hugging_face(const at::Tensor& x, const at::Tensor& weight) {
  const auto wide = x.to(at::kFloat);
  return weight * (wide * at::rsqrt(wide.pow(2).mean(-1, true) + kEps)).to(x.scalar_type());
}

TEST(RmsNorm, MatchesFiniteDifferences) {
  at::manual_seed(1);
  const auto weight = random({9});
  testing::expect_finite_differences([&](const Tensors& in) { return rms_norm(in[0], weight, kEps); },
                                     {random({4, 9})});
}

TEST(RmsNorm, MatchesAtenInEveryType) {
  at::manual_seed(2);
  const auto x = random({33, 67}), weight = random({67}), dy = random({33, 67});
  const auto want = gradients([&](const Tensors& in) { return reference(in[0], weight); }, {x}, dy)[0];
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, kFp32}, std::pair{at::kBFloat16, kBf16}}) {
    const auto w = weight.to(dtype);
    EXPECT_LT(relative_difference(rms_norm(x.to(dtype), w, kEps), reference(x, weight)), tolerance);
    const auto got =
        gradients([&](const Tensors& in) { return rms_norm(in[0], w, kEps); }, {x.to(dtype)}, dy.to(dtype));
    EXPECT_LT(relative_difference(got[0], want), tolerance);
  }
}

TEST(RmsNorm, RoundsWhereHuggingFaceRounds) {
  at::manual_seed(3);
  const auto x = random({64, 576}, at::kBFloat16), weight = random({576}, at::kBFloat16);
  const auto differ =
      rms_norm(x, weight, kEps).ne(hugging_face(x, weight)).to(at::kFloat).mean().item<double>();
  EXPECT_LT(differ, 1e-3)
      << "another order of the fp32 sum may move a value over a rounding boundary, rarely";
}

TEST(RmsNorm, AWideWeightIsAppliedBeforeTheOneRounding) {
  at::manual_seed(5);
  const auto x = random({64, 96}, at::kBFloat16), dy = random({64, 96}, at::kBFloat16);
  const auto weight = 1 + random({96}, at::kFloat) * 1e-3;  // bf16 has no number between 1 and 1.0078
  const auto wide = x.to(at::kDouble), weight64 = weight.to(at::kDouble);
  const auto got = rms_norm(x, weight, kEps);
  EXPECT_TRUE(at::equal(got, reference(x.to(at::kFloat), weight).to(at::kBFloat16)));
  EXPECT_FALSE(at::equal(got, rms_norm(x, weight.to(at::kBFloat16), kEps)));
  const auto dx = gradients([&](const Tensors& in) { return rms_norm(in[0], weight, kEps); }, {x}, dy)[0];
  const auto want =
      gradients([&](const Tensors& in) { return reference(in[0], weight64); }, {wide}, dy.to(at::kDouble))[0];
  EXPECT_EQ(dx.scalar_type(), at::kBFloat16);
  EXPECT_LT(relative_difference(dx, want), kBf16);
}

TEST(RmsNorm, NormsTheLastDimensionOfAnyShape) {
  at::manual_seed(4);
  const auto x = random({3, 5, 8}, at::kFloat), weight = random({8}, at::kFloat);
  EXPECT_TRUE(at::equal(rms_norm(x, weight, kEps), rms_norm(x.view({15, 8}), weight, kEps).view({3, 5, 8})));
}

TEST(RmsNorm, OfAZeroRowIsZeroWithAFiniteGradient) {
  const auto weight = at::ones({8}, at::kFloat);
  const auto got = gradients([&](const Tensors& in) { return rms_norm(in[0], weight, kEps); },
                             {at::zeros({2, 8}, at::kFloat)}, at::ones({2, 8}, at::kFloat));
  EXPECT_TRUE(at::isfinite(got[0]).all().item<bool>());
}

}  // namespace
}  // namespace graft
