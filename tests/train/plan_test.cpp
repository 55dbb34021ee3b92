#include "train/plan.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "shapes.h"

namespace graft {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

Plan plan_of(const TrainOptions& train, std::uint64_t memory, const DataCounts& data = {.examples = 100}) {
  return make_plan(train, smollm2_shape(), data, memory);
}

// Memory of which half of what is left is just enough for micro-steps of `tokens` under `policy`.
std::uint64_t just_enough(Recompute policy, std::int64_t tokens) {
  const MemoryBytes bytes = peak_memory(smollm2_shape(), policy, {.tokens = tokens, .targets = tokens}, 0);
  return bytes.total() + bytes.of_micro_step();
}

TEST(Plan, TheLastStepOfAnEpochMayBeShort) {
  const Plan plan = plan_of({.epochs = 3, .batch_size = 16}, 16 * kGiB, {.examples = 33});
  EXPECT_EQ(plan.steps_per_epoch, 3);
  EXPECT_EQ(plan.total_steps, 9);
  EXPECT_EQ(error_of([] { plan_of({.batch_size = 0}, kGiB); }).code(), ExitCode::kUsage);
}

TEST(Plan, MaxStepsReplacesEpochsAndMayRunOverSeveral) {
  const Plan plan = plan_of({.max_steps = 100, .batch_size = 4}, 16 * kGiB, {.examples = 8});
  EXPECT_EQ(plan.steps_per_epoch, 2);
  EXPECT_EQ(plan.total_steps, 100);
}

TEST(Plan, WithMemoryEnoughMicroStepsAreLargeAndNothingIsComputedAgain) {
  for (const std::uint64_t memory : {64 * kGiB, std::uint64_t{0}}) {  // 0: unknown
    const Plan plan = plan_of({}, memory);
    EXPECT_EQ(plan.micro_batch_tokens, 2048);
    EXPECT_EQ(plan.recompute, Recompute::kNothing);
  }
}

TEST(Plan, AutoMicroBatchShrinksBeforeMoreIsComputedAgain) {
  const Plan full_size = plan_of({}, just_enough(Recompute::kNothing, 2048));
  EXPECT_EQ(full_size.micro_batch_tokens, 2048);
  const Plan smaller = plan_of({}, just_enough(Recompute::kNothing, 2048) - 2);
  EXPECT_EQ(smaller.micro_batch_tokens, 1792);
  EXPECT_EQ(smaller.recompute, Recompute::kNothing);
  const Plan smallest = plan_of({}, just_enough(Recompute::kNothing, 1024));
  EXPECT_EQ(smallest.micro_batch_tokens, 1024);
  EXPECT_EQ(smallest.recompute, Recompute::kNothing);
}

TEST(Plan, AutoCheckpointingRecomputesTheMlpWhereNothingElseFitsThenWholeBlocks) {
  const Plan selective = plan_of({}, just_enough(Recompute::kNothing, 1024) - 2);
  EXPECT_EQ(selective.recompute, Recompute::kMlp);
  EXPECT_GT(selective.micro_batch_tokens, 1024);
  const Plan full = plan_of({}, just_enough(Recompute::kMlp, 1024) - 2);
  EXPECT_EQ(full.recompute, Recompute::kBlocks);
  EXPECT_GE(full.micro_batch_tokens, 1024);
  const Plan least = plan_of({}, kGiB / 4);
  EXPECT_EQ(least.recompute, Recompute::kBlocks);
  EXPECT_EQ(least.micro_batch_tokens, 256);
}

TEST(Plan, MoreMemoryNeverMeansMoreComputedAgainOrSmallerMicroStepsOfTheSameKind) {
  Plan before = plan_of({}, kGiB / 4);
  for (std::uint64_t memory = kGiB / 4; memory < 4 * kGiB; memory += kGiB / 64) {
    const Plan plan = plan_of({}, memory);
    EXPECT_LE(plan.recompute, before.recompute);
    if (plan.recompute == before.recompute) {
      EXPECT_GE(plan.micro_batch_tokens, before.micro_batch_tokens);
    }
    before = plan;
  }
  EXPECT_EQ(before.recompute, Recompute::kNothing);
}

TEST(Plan, WhatTheRecipeSaysIsKept) {
  EXPECT_EQ(plan_of({.micro_batch_tokens = 77}, kGiB).micro_batch_tokens, 77);
  const Plan large = plan_of({.micro_batch_tokens = 8192}, just_enough(Recompute::kMlp, 8192));
  EXPECT_EQ(large.micro_batch_tokens, 8192);
  EXPECT_EQ(large.recompute, Recompute::kMlp);
  const Plan none = plan_of({.activation_checkpointing = ActivationCheckpointing::kNone}, kGiB / 4,
                            {.examples = 100, .longest = 100'000});
  EXPECT_EQ(none.recompute, Recompute::kNothing);
  EXPECT_EQ(none.recompute_long, Recompute::kNothing);
  EXPECT_EQ(none.micro_batch_tokens, 256);
  const Plan full = plan_of({.activation_checkpointing = ActivationCheckpointing::kFull}, 64 * kGiB);
  EXPECT_EQ(full.recompute, Recompute::kBlocks);
  EXPECT_EQ(full.micro_batch_tokens, 2048);
}

TEST(Plan, AnExampleLongerThanAMicroStepGetsAPolicyOfItsOwn) {
  const std::uint64_t memory = just_enough(Recompute::kMlp, 16'384);
  const Plan long_rows = plan_of({}, memory, {.examples = 100, .longest = 16'384});
  EXPECT_EQ(long_rows.recompute, Recompute::kNothing);
  EXPECT_EQ(long_rows.recompute_long, Recompute::kMlp);
  EXPECT_EQ(long_rows.policy_of(2048), Recompute::kNothing);
  EXPECT_EQ(long_rows.policy_of(2049), Recompute::kMlp);
  const Plan longer = plan_of({}, memory, {.examples = 100, .longest = 16'384 + 64});
  EXPECT_EQ(longer.recompute_long, Recompute::kBlocks);
  EXPECT_EQ(plan_of({}, memory, {.examples = 100, .longest = 2048}).recompute_long, Recompute::kNothing);
}

}  // namespace
}  // namespace graft
