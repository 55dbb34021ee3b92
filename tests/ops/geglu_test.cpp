#include "ops/geglu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "ops/gradients.h"

namespace graft {
namespace {

using testing::random;
using testing::Tensors;

TEST(Geglu, MatchesFiniteDifferences) {
  at::manual_seed(1);
  testing::expect_finite_differences([](const Tensors& in) { return geglu(in[0], in[1]); },
                                     {random({3, 11}), random({3, 11})});
}

TEST(Geglu, IsTheTanhFormRoundedBeforeTheProduct) {
  at::manual_seed(2);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto gate = random({64, 256}, dtype) * 4, up = random({64, 256}, dtype);
    EXPECT_TRUE(at::equal(geglu(gate, up), at::gelu(gate, "tanh") * up));
    EXPECT_FALSE(at::equal(geglu(gate, up), at::gelu(gate, "none") * up));
  }
}

}  // namespace
}  // namespace graft
