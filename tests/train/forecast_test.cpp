#include "train/forecast.h"

#include <gtest/gtest.h>

#include "shapes.h"

namespace graft {
namespace {

constexpr double kRate = 1e12;

Dataset dataset_of(std::vector<std::size_t> train, std::vector<std::size_t> eval = {}) {
  Dataset data;
  const auto fill = [](std::vector<Example>& examples, const std::vector<std::size_t>& lengths) {
    for (const std::size_t length : lengths) {
      Example example{.tokens = std::vector<std::int32_t>(length, 5),
                      .targets = std::vector<std::int32_t>(length, kNoTarget),
                      .id = examples.size(),
                      .source = {}};
      for (std::size_t i = 0; i < length / 2; ++i) example.targets[i] = 5;
      examples.push_back(std::move(example));
    }
  };
  fill(data.train, train);
  fill(data.eval, eval);
  return data;
}

Workload workload_of(const Dataset& data, const TrainOptions& train, std::int64_t total_steps,
                     std::int64_t steps_per_epoch) {
  TrainingOptions options;
  options.shuffle = false;
  options.train = train;
  options.evaluation.every_steps = 2;
  return count_workload(
      data, options,
      {.steps_per_epoch = steps_per_epoch, .total_steps = total_steps, .micro_batch_tokens = 128});
}

Forecast forecast_of(const TrainingShape& shape, Recompute policy, const Workload& work) {
  const Plan plan{.steps_per_epoch = 1,
                  .total_steps = 1,
                  .micro_batch_tokens = 2048,
                  .recompute = policy,
                  .recompute_long = policy};
  return make_forecast(shape, plan, work, 0, kRate);
}

Workload one_pack(double tokens) {
  Workload work;
  work.tokens = static_cast<std::int64_t>(tokens);
  work.micro_steps = 1;
  work.short_packs = {.tokens = tokens, .target_tokens = tokens, .squared_lengths = tokens * tokens};
  work.largest_short = {.tokens = work.tokens, .targets = work.tokens};
  return work;
}

TEST(Workload, CountsPacksAsTrainingWouldCutThem) {
  // Steps of two rows: {60, 50} fit one micro-step of 128; {300, 20}: one too long, one alone.
  const Dataset data = dataset_of({60, 50, 300, 20});
  const Workload work = workload_of(data, {.batch_size = 2}, 2, 2);
  EXPECT_EQ(work.tokens, 430);
  EXPECT_EQ(work.target_tokens, 30 + 25 + 150 + 10);
  EXPECT_EQ(work.micro_steps, 3);
  EXPECT_EQ(work.largest_short.tokens, 110);
  EXPECT_EQ(work.largest_short.targets, 55);
  EXPECT_EQ(work.largest_long.tokens, 300);
  EXPECT_DOUBLE_EQ(work.short_packs.tokens, 128 + 64);  // heights as computed
  EXPECT_DOUBLE_EQ(work.long_packs.tokens, 320);
  EXPECT_DOUBLE_EQ(work.short_packs.squared_lengths, 3600 + 2500 + 400);
  EXPECT_DOUBLE_EQ(work.passes, 1);
  EXPECT_EQ(work.evaluations, 0);
}

TEST(Workload, CountsTheStepsThatAreTaken) {
  const Dataset data = dataset_of({60, 50, 300, 20});
  EXPECT_EQ(workload_of(data, {.batch_size = 2}, 1, 2).tokens, 110);
  const Workload three_epochs = workload_of(data, {.batch_size = 2}, 6, 2);
  EXPECT_EQ(three_epochs.tokens, 3 * 430);
  EXPECT_EQ(three_epochs.micro_steps, 9);
  EXPECT_EQ(three_epochs.largest_long.tokens, 300);
  EXPECT_DOUBLE_EQ(three_epochs.passes, 3);
}

TEST(Workload, EvaluatesBeforeTheFirstStepAndAfterTheLast) {
  const Dataset data = dataset_of({60, 50, 40, 20}, {100});
  EXPECT_EQ(workload_of(data, {.batch_size = 1}, 4, 4).evaluations, 3);  // 0, 2, 4
  const Workload odd = workload_of(data, {.batch_size = 1}, 5, 4);       // 0, 2, 4, 5
  EXPECT_EQ(odd.evaluations, 4);
  EXPECT_DOUBLE_EQ(odd.evaluated.tokens, 4 * 128);
}

TEST(Forecast, ComputesAgainWhatThePolicySays) {
  const TrainingShape shape = smollm2_shape();
  const Workload work = one_pack(1024);
  const StepFlops none = forecast_of(shape, Recompute::kNothing, work).training;
  EXPECT_DOUBLE_EQ(none.total(),
                   step_flops(shape.config, shape.active_adapter_parameters, work.short_packs).total());
  const StepFlops full = forecast_of(shape, Recompute::kBlocks, work).training;
  EXPECT_DOUBLE_EQ(full.base, 1.5 * none.base);
  EXPECT_DOUBLE_EQ(full.attention, 9.0 / 7 * none.attention);
  EXPECT_DOUBLE_EQ(full.head, none.head);
  const StepFlops selective = forecast_of(shape, Recompute::kMlp, work).training;
  EXPECT_GT(selective.base, none.base);
  EXPECT_LT(selective.base, full.base);
  EXPECT_DOUBLE_EQ(selective.attention, none.attention);
}

TEST(Forecast, TimeFollowsTheRateAndIsNothingWithoutOne) {
  const TrainingShape shape = smollm2_shape();
  const Workload work = one_pack(1024);
  const Plan plan{.micro_batch_tokens = 2048};
  const double at_rate = make_forecast(shape, plan, work, 0, kRate).training_seconds;
  EXPECT_DOUBLE_EQ(make_forecast(shape, plan, work, 0, 2 * kRate).training_seconds, at_rate / 2);
  EXPECT_EQ(make_forecast(shape, plan, work, 0, 0).seconds(), 0);
  // No faster than the products of all FLOPs at the probed rate, no slower than half of it.
  const double least = forecast_of(shape, Recompute::kNothing, work).training.total() / kRate;
  EXPECT_GT(at_rate, least);
  EXPECT_LT(at_rate, 2 * least);
}

TEST(Forecast, AdaptersInTheUpperBlocksAloneSpareTheBackwardBelow) {
  TrainingShape shape = smollm2_shape();
  const double all = forecast_of(shape, Recompute::kNothing, one_pack(512)).training.base;
  shape.first_block = 15;
  EXPECT_DOUBLE_EQ(forecast_of(shape, Recompute::kNothing, one_pack(512)).training.base, 0.75 * all);
}

TEST(Forecast, ThePeakIsThatOfTheWorstMicroStep) {
  const TrainingShape shape = smollm2_shape();
  Workload work = one_pack(1024);
  work.largest_long = {.tokens = 16'384, .targets = 1};
  const Plan plan{.micro_batch_tokens = 2048, .recompute_long = Recompute::kBlocks};
  EXPECT_EQ(make_forecast(shape, plan, work, 7, 0).memory.total(),
            peak_memory(shape, Recompute::kBlocks, work.largest_long, 7).total());
  work.largest_long = {.tokens = 2112, .targets = 1};
  EXPECT_EQ(make_forecast(shape, plan, work, 7, 0).memory.total(),
            peak_memory(shape, Recompute::kNothing, work.largest_short, 7).total());
}

}  // namespace
}  // namespace graft
