#include "train/memory.h"

#include <gtest/gtest.h>

#include "shapes.h"

namespace graft {
namespace {

TEST(Memory, ATokenKeepsWhatThePolicySays) {
  const TrainingShape shape = smollm2_shape();
  // Input 576, q 576, k and v 384, attention's output 576, residual 576: 2,688 numbers; gate and up 3,072; 9
  // fp32 sums of softmax; 16 columns of x A^T for each of 7 linears.
  EXPECT_EQ(kept_bytes_per_token(shape, Recompute::kNothing), 30U * (2 * (2688 + 3072) + 36 + 2 * 112));
  EXPECT_EQ(kept_bytes_per_token(shape, Recompute::kMlp), 30U * (2 * 2688 + 36 + 2 * 112));
  EXPECT_EQ(kept_bytes_per_token(shape, Recompute::kBlocks), 30U * 2 * 576);
}

TEST(Memory, NothingIsKeptBelowTheFirstAdapter) {
  TrainingShape shape = smollm2_shape();
  const std::uint64_t all = kept_bytes_per_token(shape, Recompute::kBlocks);
  shape.first_block = 20;
  EXPECT_EQ(kept_bytes_per_token(shape, Recompute::kBlocks), all / 3);
  EXPECT_LT(kept_bytes_per_token(shape, Recompute::kNothing),
            kept_bytes_per_token(smollm2_shape(), Recompute::kNothing));
}

TEST(Memory, WeightsAreWhatTheirFormTakes) {
  const TensorSizes sizes{.values = 1 << 20, .file_bytes = 700'000};
  const auto bytes = [&](Quantization quantization) {
    return quantized_bytes(quantization, ComputeDType::kBF16, sizes);
  };
  EXPECT_EQ(bytes(Quantization::kNone), 2U << 20);
  EXPECT_EQ(bytes(Quantization::kNf4), (1U << 19) + (1U << 14) + (1U << 6) * 4);
  EXPECT_EQ(bytes(Quantization::kQ8_0), (1U << 15) * 34);
  EXPECT_EQ(bytes(Quantization::kKeep), 700'000U);
  EXPECT_EQ(quantized_bytes(Quantization::kNone, ComputeDType::kF32, sizes), 4U << 20);
}

TEST(Memory, AQuantizedBaseKeepsItsEmbeddingInTheComputeType) {
  TrainingShape shape = smollm2_shape();
  shape.quantization = Quantization::kNf4;
  const std::uint64_t linears = quantized_bytes(Quantization::kNf4, shape.dtype, shape.base.linears);
  EXPECT_EQ(peak_memory(shape, Recompute::kNothing, {}, 0).weights, linears + 2U * 49152 * 576);
  // 4.127 bits a weight.
  EXPECT_NEAR(8.0 * static_cast<double>(linears) / 106'168'320, 4.127, 0.001);
}

TEST(Memory, ComputingInInt8TakesACodeForEveryWeightOfTheLinearsInPlaceOfBf16) {
  TrainingShape shape = smollm2_shape();
  const PackSize pack{.tokens = 2048, .targets = 2048};
  const MemoryBytes before = peak_memory(shape, Recompute::kNothing, pack, 0);
  shape.compute = Compute::kInt8;
  const MemoryBytes after = peak_memory(shape, Recompute::kNothing, pack, 0);
  EXPECT_EQ(before.weights - after.weights, 106'168'320U);
  EXPECT_EQ(after.scratch - before.scratch, 2U * 2048 * 1536);
  shape.quantization = Quantization::kNf4;
  const MemoryBytes beside = peak_memory(shape, Recompute::kNothing, pack, 0);
  shape.compute = Compute::kAuto;
  EXPECT_EQ(beside.weights - peak_memory(shape, Recompute::kNothing, pack, 0).weights, 106'168'320U);
}

TEST(Memory, CappedLogitsAreKeptTwiceInFp32AndNeverInBf16) {
  TrainingShape shape = smollm2_shape();
  const auto loss = [&] {
    return peak_memory(shape, Recompute::kNothing, {.tokens = 2000, .targets = 1000}, 0).loss;
  };
  const std::uint64_t bf16 = loss();
  shape.dtype = ComputeDType::kF32;
  const std::uint64_t fp32 = loss();
  shape.config.logit_softcap = 30.0;
  EXPECT_EQ(loss() - fp32, 4U * 256 * 49152);
  shape.dtype = ComputeDType::kBF16;
  EXPECT_EQ(loss(), bf16);
}

TEST(Memory, PartsOfSmolLM2AreThoseCountedByHand) {
  const MemoryBytes bytes =
      peak_memory(smollm2_shape(), Recompute::kNothing, {.tokens = 2000, .targets = 1000}, 10'000);
  EXPECT_EQ(bytes.weights, 268'959'744U);
  EXPECT_EQ(bytes.optimizer, 8U * 4'884'480);
  EXPECT_EQ(bytes.adapters, 10U * 4'884'480);     // fp32 masters and gradients, bf16 roundings
  EXPECT_EQ(bytes.activations, 2048U * 353'400);  // heights are rounded up to 64
  EXPECT_EQ(bytes.loss, 8U * 1000 * 576 + (8U << 20));
  EXPECT_EQ(bytes.data, 80'000U);
  EXPECT_EQ(bytes.total(), bytes.weights + bytes.adapters + bytes.optimizer + bytes.activations + bytes.loss +
                               bytes.scratch + bytes.data + bytes.program);
}

TEST(Memory, GrowsWithTokensAndShrinksWithWhatIsComputedAgain) {
  const TrainingShape shape = smollm2_shape();
  const auto total = [&](Recompute policy, std::int64_t tokens) {
    return peak_memory(shape, policy, {.tokens = tokens, .targets = tokens}, 0).total();
  };
  for (const Recompute policy : {Recompute::kNothing, Recompute::kMlp, Recompute::kBlocks}) {
    for (std::int64_t tokens = 64; tokens < 4096; tokens *= 2)
      EXPECT_LT(total(policy, tokens), total(policy, 2 * tokens));
  }
  for (const std::int64_t tokens : {256, 2048, 16384}) {
    EXPECT_LT(total(Recompute::kBlocks, tokens), total(Recompute::kMlp, tokens));
    EXPECT_LT(total(Recompute::kMlp, tokens), total(Recompute::kNothing, tokens));
  }
}

}  // namespace
}  // namespace graft
