#include "ops/quantized_weight.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "kernels/encode.h"
#include "ops/block_gemm.h"
#include "ops/gradients.h"
#include "random_blocks.h"

namespace graft {
namespace {

using testing::random;
using testing::relative_difference;

constexpr std::int64_t kOut = 70, kIn = 192;
constexpr double kBf16 = 2.5e-3;  // the product's one rounding

/// Weights in Q8_0, rows stored in reverse.
struct Q8 {
  at::Tensor w = random({kOut, kIn}, at::kFloat);
  std::shared_ptr<std::vector<std::byte>> blocks =
      std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(kOut * kIn / 32 * 34));
  FrozenWeightPtr weight;

  Q8() {
    std::vector<std::int32_t> order;
    for (std::int64_t i = 0; i < kOut; ++i) order.push_back(static_cast<std::int32_t>(kOut - 1 - i));
    const auto stored = w.flip(0).contiguous();
    encode_q8_0({stored.const_data_ptr<float>(), static_cast<std::size_t>(stored.numel())}, blocks->data());
    weight = block_weight({.dtype = DType::kQ8_0, .out = kOut, .in = kIn, .blocks = *blocks, .order = order},
                          blocks, at::kBFloat16);
  }
};

FrozenWeightPtr nf4_of(const at::Tensor& w) {
  auto weights = std::make_shared<Nf4Weights>();
  const auto n = static_cast<std::size_t>(w.numel());
  weights->codes.resize(n / 2);
  weights->absmax_codes.resize(n / kNf4Block);
  weights->nested_absmax.resize((n / kNf4Block + kNf4NestedBlock - 1) / kNf4NestedBlock);
  std::vector<float> absmax(n / kNf4Block);
  encode_nf4(std::span(w.const_data_ptr<float>(), n), kNf4Block, weights->codes.data(), absmax.data());
  weights->offset = mean_of_scales(absmax);
  encode_scales(absmax, weights->offset, weights->absmax_codes.data(), weights->nested_absmax.data());
  return nf4_weight(w.size(0), w.size(1), weights->view(), weights, at::kBFloat16);
}

void expect_products_of_decoded_rows(const FrozenWeight& weight) {
  const auto in = weight.in_features();
  const auto decoded = weight.rows(0, kOut).to(at::kBFloat16).to(at::kDouble);
  for (const std::int64_t tokens : {1, 5, 64, 130}) {
    const auto x = random({tokens, in}, at::kBFloat16), dy = random({tokens, kOut}, at::kBFloat16);
    EXPECT_LT(relative_difference(weight.times_transposed(x), at::mm(x.to(at::kDouble), decoded.t())), kBf16);
    EXPECT_LT(relative_difference(weight.times(dy), at::mm(dy.to(at::kDouble), decoded)), kBf16);
    EXPECT_LT(relative_difference(weight.times_transposed_f32(x), at::mm(x.to(at::kDouble), decoded.t())),
              kBf16);
  }
  const auto wide = random({3, in}, at::kFloat);
  EXPECT_LT(relative_difference(weight.times_transposed(wide), at::mm(wide, weight.rows(0, kOut).t())), 1e-6);
}

TEST(BlockWeight, MultipliesByWhatItDecodesTo) {
  at::manual_seed(21);
  const Q8 q8;
  expect_products_of_decoded_rows(*q8.weight);
}

TEST(BlockWeight, ReadsItsRowsInTheirOrder) {
  at::manual_seed(22);
  const Q8 q8;
  EXPECT_LT(relative_difference(q8.weight->rows(0, kOut), q8.w), 1e-2);
  EXPECT_TRUE(at::equal(q8.weight->rows(3, 9), q8.weight->rows(0, kOut).slice(0, 3, 9)));
}

TEST(BlockWeight, LooksUpRowsInTheComputeType) {
  at::manual_seed(23);
  const Q8 q8;
  const auto found = q8.weight->look_up(at::tensor({5, 0, 5}, at::kLong));
  const auto rows = q8.weight->rows(0, kOut).to(at::kBFloat16);
  EXPECT_TRUE(at::equal(found, at::stack({rows[5], rows[0], rows[5]})));
}

// Products read panels of fewer weights than a block of 256 has.
TEST(BlockWeight, MultipliesByBlocksWiderThanAPanel) {
  at::manual_seed(25);
  constexpr std::int64_t kWide = 1792;  // deeper than a packed piece
  for (const DType dtype : {DType::kQ2_K, DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
                            DType::kQ8_K, DType::kIq4Nl, DType::kIq4Xs}) {
    SCOPED_TRACE(traits(dtype).name);
    const auto blocks =
        std::make_shared<std::vector<std::byte>>(random_blocks(dtype, kOut * kWide, /*seed=*/7));
    const auto weight =
        block_weight({.dtype = dtype, .out = kOut, .in = kWide, .blocks = *blocks}, blocks, at::kBFloat16);
    expect_products_of_decoded_rows(*weight);
  }
}

TEST(Nf4Weight, MultipliesByWhatItDecodesTo) {
  at::manual_seed(24);
  const auto w = random({kOut, kIn}, at::kFloat);
  const auto weight = nf4_of(w);
  expect_products_of_decoded_rows(*weight);
  EXPECT_LT(relative_difference(weight->rows(0, kOut), w), 0.12);  // 4 bits
}

}  // namespace
}  // namespace graft
