#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

#include "data/dataset.h"
#include "row_file.h"

namespace graft {
namespace {

Example example_of(std::size_t length, std::uint64_t id) {
  Example example{.tokens = {}, .targets = {}, .id = id, .source = {}};
  for (std::size_t i = 0; i < length; ++i) {
    example.tokens.push_back(static_cast<std::int32_t>(id * 100 + i));
    example.targets.push_back(i % 2 == 0 ? static_cast<std::int32_t>(id) : kNoTarget);
  }
  return example;
}

std::vector<Example> examples_of(const std::vector<std::size_t>& lengths) {
  std::vector<Example> examples;
  for (std::size_t i = 0; i < lengths.size(); ++i) examples.push_back(example_of(lengths[i], i));
  return examples;
}

std::vector<std::size_t> all_of(const std::vector<Example>& examples) {
  std::vector<std::size_t> chosen(examples.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = i;
  return chosen;
}

TEST(EpochSteps, WithoutShuffleTheFilesOrderAndAShortLastStep) {
  const std::vector<std::vector<std::size_t>> want = {{0, 1}, {2, 3}, {4}};
  EXPECT_EQ(epoch_steps(5, 2, false, 7, 0), want);
  EXPECT_EQ(epoch_steps(5, 2, false, 8, 3), want);
  EXPECT_TRUE(epoch_steps(0, 2, true, 7, 0).empty());
}

TEST(EpochSteps, OrderDependsOnSeedAndEpoch) {
  EXPECT_EQ(epoch_steps(50, 50, true, 7, 1), epoch_steps(50, 50, true, 7, 1));
  EXPECT_NE(epoch_steps(50, 50, true, 7, 1), epoch_steps(50, 50, true, 7, 2));
  EXPECT_NE(epoch_steps(50, 50, true, 7, 1), epoch_steps(50, 50, true, 8, 1));
}

RC_GTEST_PROP(EpochSteps, HoldEveryExampleOnceInFullStepsButTheLast, ()) {
  const auto examples = *rc::gen::inRange<std::size_t>(0, 200);
  const auto batch = *rc::gen::inRange<std::int64_t>(1, 40);
  const auto steps = epoch_steps(examples, batch, true, *rc::gen::arbitrary<std::uint64_t>(), 3);
  std::set<std::size_t> seen;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (i + 1 < steps.size()) RC_ASSERT(steps[i].size() == static_cast<std::size_t>(batch));
    RC_ASSERT(!steps[i].empty());
    for (const std::size_t example : steps[i]) RC_ASSERT(seen.insert(example).second);
  }
  RC_ASSERT(seen.size() == examples);
}

TEST(MakeStep, PacksTwoExamplesThatFitAndKeepsTheirStartsIdsAndTargets) {
  const std::vector<Example> examples = examples_of({2, 3});
  const Step step = make_step(examples, {0, 1}, 5);
  ASSERT_EQ(step.packs.size(), 1U);
  EXPECT_EQ(step.packs[0].tokens, (std::vector<std::int32_t>{100, 101, 102, 0, 1}));
  EXPECT_EQ(step.packs[0].targets, (std::vector<std::int32_t>{1, kNoTarget, 1, 0, kNoTarget}));
  EXPECT_EQ(step.packs[0].starts, (std::vector<std::int64_t>{0, 3, 5}));
  EXPECT_EQ(step.packs[0].ids, (std::vector<std::uint64_t>{1, 0}));
  EXPECT_EQ(step.tokens, 5);
  EXPECT_EQ(step.target_tokens, 3);
}

TEST(MakeStep, AnExampleLongerThanAMicroStepIsAPackAlone) {
  const Step step = make_step(examples_of({9, 2, 2}), {0, 1, 2}, 4);
  ASSERT_EQ(step.packs.size(), 2U);
  EXPECT_EQ(step.packs[0].ids, (std::vector<std::uint64_t>{0}));
  EXPECT_EQ(step.packs[1].ids, (std::vector<std::uint64_t>{1, 2}));
}

RC_GTEST_PROP(MakeStep, EveryChosenExampleIsWholeInExactlyOnePackWithinTheLimit, ()) {
  const auto lengths = *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 60));
  const auto limit = *rc::gen::inRange<std::int64_t>(1, 128);
  const std::vector<Example> examples = examples_of(lengths);
  const Step step = make_step(examples, all_of(examples), limit);
  std::set<std::uint64_t> seen;
  std::int64_t tokens = 0, targets = 0;
  for (const Pack& pack : step.packs) {
    RC_ASSERT(pack.ids.size() + 1 == pack.starts.size() && pack.weights.size() == pack.ids.size());
    RC_ASSERT(static_cast<std::int64_t>(pack.tokens.size()) <= limit || pack.ids.size() == 1);
    RC_ASSERT(pack.starts.front() == 0 &&
              pack.starts.back() == static_cast<std::int64_t>(pack.tokens.size()));
    for (std::size_t i = 0; i < pack.ids.size(); ++i) {
      const auto begin = static_cast<std::size_t>(pack.starts[i]),
                 end = static_cast<std::size_t>(pack.starts[i + 1]);
      const Example& example = examples[pack.ids[i]];
      RC_ASSERT(seen.insert(pack.ids[i]).second);
      RC_ASSERT(std::equal(example.tokens.begin(), example.tokens.end(), pack.tokens.begin() + begin,
                           pack.tokens.begin() + end));
      RC_ASSERT(std::equal(example.targets.begin(), example.targets.end(), pack.targets.begin() + begin,
                           pack.targets.begin() + end));
      tokens += static_cast<std::int64_t>(example.tokens.size());
      targets += example.target_count();
    }
  }
  RC_ASSERT(seen.size() == examples.size());
  RC_ASSERT(step.tokens == tokens && step.target_tokens == targets);
}

RC_GTEST_PROP(MakeStep, HalfEmptyPacksAreAtMostOne, ()) {
  const auto lengths = *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(1, 64));
  const std::vector<Example> examples = examples_of(lengths);
  const Step step = make_step(examples, all_of(examples), 64);
  RC_ASSERT(std::ranges::count_if(step.packs, [](const Pack& pack) { return pack.tokens.size() < 32; }) <= 1);
}

}  // namespace
}  // namespace graft
