#include "train/flops.h"

#include <gtest/gtest.h>

#include "train/gemm_probe.h"

namespace graft {
namespace {

// SmolLM2-135M.
ModelConfig small_llama() {
  ModelConfig config;
  config.vocab_size = 49152, config.hidden_size = 576, config.intermediate_size = 1536;
  config.num_hidden_layers = 30, config.num_attention_heads = 9, config.num_key_value_heads = 3;
  config.head_dim = 64;
  return config;
}

TEST(Flops, CountThePaperFormula) {
  const ModelConfig config = small_llama();
  EXPECT_EQ(linear_parameters(config), 106'168'320);
  const StepFlops flops =
      step_flops(config, 4'884'480, {.tokens = 512, .target_tokens = 512, .squared_lengths = 512.0 * 512.0});
  EXPECT_DOUBLE_EQ(flops.base, 4.0 * 106'168'320 * 512);
  EXPECT_DOUBLE_EQ(flops.lora, 6.0 * 4'884'480 * 512);
  EXPECT_DOUBLE_EQ(flops.attention, 7.0 * 30 * 576 * 512 * 512);
  EXPECT_DOUBLE_EQ(flops.head, 4.0 * 49152 * 576 * 512);
  // reference/performance.md 2.1: 0.63 GFLOP a token at 512, r 16, every token learned.
  EXPECT_NEAR(flops.total() / 512 / 1e9, 0.63, 0.01);
}

TEST(Flops, OfTheProbesProductsAreThoseOfBaseAndHead) {
  const ModelConfig config = small_llama();
  double products = 0;
  for (const ProductShape& shape : base_products(config, 1000, 300)) products += shape.flops();
  const StepFlops flops = step_flops(config, 0, {.tokens = 1000, .target_tokens = 300});
  EXPECT_DOUBLE_EQ(products, flops.base + flops.head);
}

TEST(GemmProbe, MeasuresARateOfEveryShapeOnce) {
  const double rate = probe_gemm({{8, 16, 32, 1.0}, {4, 64, 32, 2.5}}, at::kFloat, 0.0);
  EXPECT_GT(rate, 0.0);
  EXPECT_LT(rate, 1e15);
}

TEST(GemmProbe, NoProductOfTheHeadWithoutTargets) {
  EXPECT_EQ(base_products(small_llama(), 64, 0).size() + 1, base_products(small_llama(), 64, 1).size());
}

}  // namespace
}  // namespace graft
