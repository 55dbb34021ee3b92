#include "ops/swiglu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ops/gradients.h"

namespace graft {
namespace {

using testing::gradients;
using testing::random;
using testing::relative_difference;
using testing::Tensors;

constexpr double kFp32 = 1e-6;
constexpr double kBf16 = 4e-3;  // one rounding of the result, one of silu(gate)

at::Tensor reference(const Tensors& in) { return in[0] * at::sigmoid(in[0]) * in[1]; }

TEST(Swiglu, MatchesFiniteDifferences) {
  at::manual_seed(1);
  testing::expect_finite_differences([](const Tensors& in) { return swiglu(in[0], in[1]); },
                                     {random({3, 11}), random({3, 11})});
}

TEST(Swiglu, MatchesAtenInEveryType) {
  at::manual_seed(2);
  const Tensors inputs{random({37, 101}) * 4, random({37, 101})};
  const auto dy = random({37, 101});
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, kFp32}, std::pair{at::kBFloat16, kBf16}}) {
    const Tensors rounded{inputs[0].to(dtype), inputs[1].to(dtype)};
    const Tensors wide{rounded[0].to(at::kDouble), rounded[1].to(at::kDouble)};
    const auto dyr = dy.to(dtype);
    const auto want = gradients(reference, wide, dyr.to(at::kDouble));
    EXPECT_LT(relative_difference(swiglu(rounded[0], rounded[1]), reference(wide)), tolerance);
    const auto got = gradients([](const Tensors& in) { return swiglu(in[0], in[1]); }, rounded, dyr);
    EXPECT_LT(relative_difference(got[0], want[0]), tolerance);
    EXPECT_LT(relative_difference(got[1], want[1]), tolerance);
  }
}

TEST(Swiglu, RoundsSiluBeforeTheProductInBf16) {
  at::manual_seed(3);
  const auto gate = random({64, 256}, at::kBFloat16), up = random({64, 256}, at::kBFloat16);
  const auto want = at::silu(gate) * up;
  EXPECT_LT(swiglu(gate, up).ne(want).to(at::kFloat).mean().item<double>(), 1e-3);
}

TEST(Swiglu, IsFiniteAtTheEndsOfTheRange) {
  const auto gate = at::tensor({-1e30, -200.0, -88.0, 0.0, 88.0, 200.0, 1e30}, at::kFloat);
  const auto h = swiglu(gate, at::ones_like(gate));
  EXPECT_TRUE(at::allclose(h, at::tensor({0.0, 0.0, 0.0, 0.0, 88.0, 200.0, 1e30}, at::kFloat)));
  const auto got = gradients([&](const Tensors& in) { return swiglu(in[0], at::ones_like(in[0])); }, {gate},
                             at::ones_like(gate));
  EXPECT_TRUE(at::allclose(got[0], at::tensor({0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0}, at::kFloat)));
}

}  // namespace
}  // namespace graft
