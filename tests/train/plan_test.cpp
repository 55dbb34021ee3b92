#include "train/plan.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

ModelConfig smollm2() {
  ModelConfig config;
  config.vocab_size = 49152;
  config.hidden_size = 576;
  config.intermediate_size = 1536;
  config.num_hidden_layers = 30;
  config.num_attention_heads = 9;
  config.num_key_value_heads = 3;
  config.head_dim = 64;
  config.tie_word_embeddings = true;
  return config;
}

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

TEST(Plan, TheLastStepOfAnEpochMayBeShort) {
  const Plan plan = make_plan({.epochs = 3, .batch_size = 16}, smollm2(), ComputeDType::kBF16, 33, 16 * kGiB);
  EXPECT_EQ(plan.steps_per_epoch, 3);
  EXPECT_EQ(plan.total_steps, 9);
}

TEST(Plan, MaxStepsReplacesEpochsAndMayRunOverSeveral) {
  const Plan plan =
      make_plan({.max_steps = 100, .batch_size = 4}, smollm2(), ComputeDType::kBF16, 8, 16 * kGiB);
  EXPECT_EQ(plan.steps_per_epoch, 2);
  EXPECT_EQ(plan.total_steps, 100);
}

TEST(Plan, AutoMicroBatchIsAPureFunctionWithinItsBounds) {
  const Plan large = make_plan({}, smollm2(), ComputeDType::kBF16, 100, 64 * kGiB);
  const Plan again = make_plan({}, smollm2(), ComputeDType::kBF16, 100, 64 * kGiB);
  const Plan small = make_plan({}, smollm2(), ComputeDType::kBF16, 100, kGiB);
  EXPECT_EQ(large.micro_batch_tokens, again.micro_batch_tokens);
  EXPECT_LE(large.micro_batch_tokens, 2048);
  EXPECT_LT(small.micro_batch_tokens, large.micro_batch_tokens);
  EXPECT_GE(small.micro_batch_tokens, 256);
}

TEST(Plan, AGivenMicroBatchIsKept) {
  EXPECT_EQ(
      make_plan({.micro_batch_tokens = 77}, smollm2(), ComputeDType::kBF16, 100, kGiB).micro_batch_tokens,
      77);
}

TEST(Plan, AutoCheckpointingRecomputesOnlyWhatIsLongerThanAMicroStep) {
  const Plan automatic = make_plan({}, smollm2(), ComputeDType::kBF16, 100, 64 * kGiB);
  EXPECT_EQ(automatic.recompute, Recompute::kNothing);
  EXPECT_EQ(automatic.recompute_long, Recompute::kBlocks);
  const Plan none = make_plan({.activation_checkpointing = ActivationCheckpointing::kNone}, smollm2(),
                              ComputeDType::kBF16, 100, 64 * kGiB);
  EXPECT_EQ(none.recompute_long, Recompute::kNothing);
}

}  // namespace
}  // namespace graft
