#include "generate/generate.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/golden.h"

namespace graft {
namespace {

const Decoder& tiny() {
  static const Decoder model = load_fp32(golden("tiny_llama"));
  return model;
}

SamplingOptions greedy(std::int64_t count) {
  return {.max_new_tokens = count, .temperature = 0.0, .top_p = 1.0, .repetition_penalty = 1.0};
}

TEST(Generator, GreedyTokensAreTransformers) {
  const Json document = read_json(golden("model/tiny.json"));
  Generator generator(tiny());
  const Generated generated = generator.run({document["prompt"], greedy(16)});
  EXPECT_EQ(generated.tokens, document["greedy"].get<std::vector<std::int32_t>>());
  EXPECT_EQ(generated.reason, StopReason::kLength);
}

TEST(Generator, AStopTokenEndsTheAnswerAndIsNotInIt) {
  const Json document = read_json(golden("model/tiny.json"));
  const auto want = document["greedy"].get<std::vector<std::int32_t>>();
  const auto at = std::find(want.begin(), want.end(), want[5]);
  Generator generator(tiny());
  std::vector<std::int32_t> seen;
  const Generated generated =
      generator.run({document["prompt"], greedy(16), {9999, want[5]}, [&](std::int32_t token) {
                       seen.push_back(token);
                       return true;
                     }});
  EXPECT_EQ(generated.tokens, std::vector<std::int32_t>(want.begin(), at));
  EXPECT_EQ(generated.tokens, seen);
  EXPECT_EQ(generated.reason, StopReason::kStopToken);
}

TEST(Generator, TheCallerCanEndIt) {
  Generator generator(tiny());
  int calls = 0;
  const Generated generated =
      generator.run({{5, 6}, greedy(16), {}, [&](std::int32_t) { return ++calls < 3; }});
  EXPECT_EQ(generated.tokens.size(), 3U);
  EXPECT_EQ(generated.reason, StopReason::kCaller);
}

TEST(Generator, AConversationThatGoesOnGivesWhatAFreshGeneratorGives) {
  Generator kept(tiny());
  std::vector<std::int32_t> prompt = {1, 40, 41, 42, 43};
  for (int turn = 0; turn < 3; ++turn) {
    Generator fresh(tiny());
    const auto want = fresh.run({prompt, greedy(12)}).tokens;
    EXPECT_EQ(kept.run({prompt, greedy(12)}).tokens, want) << "turn " << turn;
    prompt.insert(prompt.end(), want.begin(), want.end());
    prompt.push_back(100 + turn);
  }
  Generator fresh(tiny());
  const std::vector<std::int32_t> other = {1, 40, 99};
  EXPECT_EQ(kept.run({other, greedy(12)}).tokens, fresh.run({other, greedy(12)}).tokens)
      << "another conversation";
  EXPECT_EQ(kept.run({other, greedy(12)}).tokens, fresh.run({other, greedy(12)}).tokens)
      << "the same once more";
}

TEST(Generator, TheModelsOwnLimitEndsTheAnswer) {
  Generator generator(tiny());
  const std::vector<std::int32_t> prompt(510, 7);
  const Generated generated = generator.run({prompt, greedy(100)});
  EXPECT_EQ(generated.tokens.size(), 2U);
  EXPECT_EQ(generated.reason, StopReason::kContext);
}

TEST(Generator, ImpossiblePromptsAreErrors) {
  Generator generator(tiny());
  EXPECT_THROW(generator.run({{}, greedy(1)}), Error);
  EXPECT_THROW(generator.run({std::vector<std::int32_t>(512, 7), greedy(1)}), Error);
  EXPECT_THROW(generator.run({{1, 512}, greedy(1)}), Error);
  EXPECT_EQ(generator.run({{1, 2}, greedy(3)}).tokens, Generator(tiny()).run({{1, 2}, greedy(3)}).tokens)
      << "usable after an error";
}

}  // namespace
}  // namespace graft
