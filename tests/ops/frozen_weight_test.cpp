#include "ops/frozen_weight.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

namespace graft {
namespace {

const at::Tensor kW = at::arange(12, at::kFloat).view({4, 3});

TEST(DenseWeight, MultipliesBothWays) {
  const auto w = dense_weight(kW);
  EXPECT_EQ(w->out_features(), 4);
  EXPECT_EQ(w->in_features(), 3);
  const auto x = at::tensor({1.0, 0.0, -1.0}, at::kFloat).view({1, 3});
  EXPECT_TRUE(at::equal(w->times_transposed(x), at::full({1, 4}, -2.0, at::kFloat)));
  const auto dy = at::tensor({1.0, 0.0, 0.0, 2.0}, at::kFloat).view({1, 4});
  const auto want = kW.slice(0, 0, 1) + 2 * kW.slice(0, 3, 4);
  EXPECT_TRUE(at::equal(w->times(dy), want));
}

TEST(DenseWeight, SumsOfFewRowsAreNotRounded) {
  // bf16 times bf16 is exact in fp32; the order of 64 sums moves the last bits.
  constexpr double kOrder = 1e-5;
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(7);
  const at::Tensor stored = at::randn({70, 64}, generator, at::kFloat).to(at::kBFloat16);
  const auto w = dense_weight(stored);
  for (const std::int64_t rows : {1, 2, 16, 31, 40}) {
    const at::Tensor x = at::randn({rows, 64}, generator, at::kFloat).to(at::kBFloat16);
    const at::Tensor y = w->times_transposed_f32(x);
    ASSERT_EQ(y.sizes(), at::IntArrayRef({rows, 70}));
    EXPECT_EQ(y.scalar_type(), at::kFloat);
    const at::Tensor want = at::mm(x.to(at::kDouble), stored.to(at::kDouble).t());
    EXPECT_LT((y.to(at::kDouble) - want).abs().max().item<double>(), kOrder) << rows;
  }
}

TEST(DenseWeight, DecodesRowsToFp32AndLooksUpInItsOwnType) {
  const auto w = dense_weight(kW.to(at::kBFloat16));
  EXPECT_TRUE(at::equal(w->rows(1, 3), kW.slice(0, 1, 3)));
  const auto rows = w->look_up(at::tensor({3, 0, 3}, at::kLong));
  EXPECT_EQ(rows.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(rows.to(at::kFloat), at::stack({kW[3], kW[0], kW[3]})));
}

}  // namespace
}  // namespace graft
