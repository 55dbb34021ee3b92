#include "evaluate/golden.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "evaluate/compare.h"
#include "expect_error.h"
#include "temporary_folder.h"

namespace graft {
namespace {

/// Predictions of 2 positions over 40 tokens.
at::Tensor predictions_of(std::uint64_t seed) {
  at::manual_seed(seed);
  return at::randn({2, 40}, at::kDouble).log_softmax(-1);
}

Golden example() {
  Golden golden{.dtype = "fp32", .weights = "bf16", .base_path = "models/base", .adapter_sha256 = "ab"};
  golden.fingerprint = {{"version", 1}, {"weights", Json::object()}};
  golden.prompts.push_back(golden_prompt({1, 7}, predictions_of(1), predictions_of(2)));
  golden.prompts.push_back(golden_prompt({5, 6}, predictions_of(3), predictions_of(4)));
  return golden;
}

TEST(Golden, HoldsTheLikeliestTokensOfBaseAndAdapter) {
  const at::Tensor adapted = predictions_of(1), base = predictions_of(2);
  const GoldenPrompt prompt = golden_prompt({1, 7}, adapted, base);
  EXPECT_EQ(prompt.ids.sizes(), (std::vector<std::int64_t>{2, kComparedTokens}));
  EXPECT_TRUE(at::equal(prompt.ids.select(1, 0), adapted.argmax(-1)));
  EXPECT_TRUE(at::equal(prompt.log_probs, adapted.gather(-1, prompt.ids)));
  EXPECT_TRUE(at::equal(prompt.base_log_probs, base.gather(-1, prompt.ids)));
  EXPECT_EQ(error_of([&] {
              (void)golden_prompt({1, 7}, adapted / 0.0 * 0.0, base);
            }).code(),
            ExitCode::kNumerics);
}

TEST(Golden, AFileGivesBackWhatWasWritten) {
  const TemporaryFolder folder;
  const Golden golden = example();
  write_file(folder / "golden.json", to_text(golden_json(golden)));
  const Golden read = read_golden(folder / "golden.json");
  EXPECT_EQ(read.dtype, golden.dtype);
  EXPECT_EQ(read.weights, golden.weights);
  EXPECT_EQ(read.base_path, golden.base_path);
  EXPECT_EQ(read.adapter_sha256, golden.adapter_sha256);
  EXPECT_EQ(read.fingerprint, golden.fingerprint);
  ASSERT_EQ(read.prompts.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read.prompts[i].tokens, golden.prompts[i].tokens);
    EXPECT_TRUE(at::equal(read.prompts[i].ids, golden.prompts[i].ids));
    EXPECT_LT((read.prompts[i].log_probs - golden.prompts[i].log_probs).abs().max().item<double>(), 1e-6);
    EXPECT_LT((read.prompts[i].base_log_probs - golden.prompts[i].base_log_probs).abs().max().item<double>(),
              1e-6);
  }
}

TEST(Golden, TheSamePredictionsDoNotDiffer) {
  const GoldenPrompt prompt = golden_prompt({1, 7}, predictions_of(1), predictions_of(2));
  const GoldenDifference same = compare_golden(prompt, predictions_of(1));
  EXPECT_EQ(same.positions, 2);
  EXPECT_EQ(same.largest, 0.0);
  EXPECT_NEAR(same.kl, 0.0, 1e-12);
  EXPECT_EQ(same.top1, 1.0);
  EXPECT_FALSE(same.lost_adapter());
  const GoldenDifference base = compare_golden(prompt, predictions_of(2));
  EXPECT_TRUE(base.lost_adapter());
  EXPECT_EQ(base.from_base, 0.0);
  EXPECT_DOUBLE_EQ(base.rms, base.effect);
}

TEST(Golden, KlTakesTheOtherTokensAsOne) {
  at::Tensor p = at::full({1, 40}, 0.01 / 20, at::kDouble), q = p.clone();
  p.slice(1, 0, 20).fill_(0.99 / 20);
  q.slice(1, 0, 20).fill_(0.9 / 20);
  q.slice(1, 20, 40).fill_(0.1 / 20);
  const GoldenDifference difference = compare_golden(golden_prompt({1}, p.log(), p.log()), q.log());
  EXPECT_NEAR(difference.kl, 0.99 * std::log(0.99 / 0.9) + 0.01 * std::log(0.01 / 0.1), 1e-12);
  EXPECT_NEAR(difference.largest, std::log(0.99 / 0.9), 1e-12);
}

TEST(Golden, PromptsAddUpAsOne) {
  const at::Tensor one = predictions_of(1), two = predictions_of(2), got_one = predictions_of(3),
                   got_two = predictions_of(4);
  const GoldenDifference sum =
      compare_golden(golden_prompt({1, 2}, one, two), got_one) +
      compare_golden(golden_prompt({3}, two.slice(0, 0, 1), one.slice(0, 0, 1)), got_two.slice(0, 0, 1));
  const GoldenDifference whole = compare_golden(
      golden_prompt({1, 2, 3}, at::cat({one, two.slice(0, 0, 1)}), at::cat({two, one.slice(0, 0, 1)})),
      at::cat({got_one, got_two.slice(0, 0, 1)}));
  EXPECT_EQ(sum.positions, 3);
  EXPECT_DOUBLE_EQ(sum.largest, whole.largest);
  EXPECT_NEAR(sum.kl, whole.kl, 1e-12);
  EXPECT_NEAR(sum.rms, whole.rms, 1e-12);
  EXPECT_NEAR(sum.from_base, whole.from_base, 1e-12);
  EXPECT_NEAR(sum.effect, whole.effect, 1e-12);
  EXPECT_NEAR(sum.top1, whole.top1, 1e-12);
}

TEST(Golden, WhatIsBrokenIsNamed) {
  const TemporaryFolder folder;
  struct Case {
    std::function<void(Json&)> breaks;
    const char* says;
  };
  const std::vector<Case> cases = {
      {[](Json& j) { j["version"] = 2; }, "/version: got 2, want 1"},
      {[](Json& j) { j.erase("version"); }, "version"},
      {[](Json& j) { j["dtype"] = "int8"; }, "/dtype: want fp32 or bf16"},
      {[](Json& j) { j.erase("prompts"); }, "prompts"},
      {[](Json& j) { j["prompts"] = Json::array(); }, "/prompts: holds no prompt"},
      {[](Json& j) { j["prompts"][0].erase("top_logprobs"); }, "top_logprobs"},
      {[](Json& j) { j["prompts"][0]["input_ids"] = Json::array(); }, "/prompts/0/input_ids: got 0 tokens"},
      {[](Json& j) { j["prompts"][0]["input_ids"].push_back(3); }, "want one for each of the 3 input_ids"},
      {[](Json& j) { j["prompts"][0]["input_ids"][0] = -1; }, "/prompts/0/input_ids/0"},
      {[](Json& j) { j["prompts"][1]["top_ids"][1].erase(0); },
       "/prompts/1/top_ids/1: got 19 values, want 20"},
      {[](Json& j) { j["prompts"][1]["top_ids"][1][0] = j["prompts"][1]["top_ids"][1][1]; },
       "/prompts/1/top_ids/1: names a token twice"},
      {[](Json& j) { j["prompts"][0]["top_logprobs"][0][0] = 0.5; }, "/prompts/0/top_logprobs/0/0: got 0.5"},
      {[](Json& j) { j["prompts"][0]["top_logprobs"][0][0] = "a"; }, "/prompts/0/top_logprobs/0/0"},
      {[](Json& j) { j["prompts"][0]["top_logprobs"][0][0] = j["prompts"][0]["top_logprobs"][0][1] = -0.1; },
       "probabilities of a row sum to"},
      {[](Json& j) {
         for (Json& row : j["prompts"][0]["base_logprobs"]) row.erase(19);
       },
       "/prompts/0/base_logprobs: want as many as top_ids"},
      {[](Json& j) { j["base"] = nullptr; }, "/base"},
      {[](Json& j) { j["adapter"]["sha256"] = 3; }, "/adapter/sha256"},
  };
  for (const Case& one : cases) {
    Json json = golden_json(example());
    one.breaks(json);
    write_file(folder / "golden.json", to_text(json));
    const Error error = error_of([&] { (void)read_golden(folder / "golden.json"); });
    EXPECT_TRUE(contains(error.what(), one.says));
    EXPECT_TRUE(contains(error.what(), "golden.json"));
    EXPECT_EQ(error.code(), ExitCode::kBadInput) << error.what();
  }
}

TEST(Golden, IdsBeyondTheVocabularyAreNamed) {
  const Golden golden = example();
  const std::int64_t top = golden.prompts[0].ids.max().item<std::int64_t>();
  EXPECT_NO_THROW(check_golden_ids(golden, "golden.json", 40));
  const Error error = error_of([&] { check_golden_ids(golden, "golden.json", top); });
  EXPECT_TRUE(contains(error.what(), "golden.json: /prompts/0/top_ids: id " + std::to_string(top) +
                                         " lies beyond the model's vocabulary of " + std::to_string(top)));
  EXPECT_EQ(error.code(), ExitCode::kBadInput);
}

}  // namespace
}  // namespace graft
