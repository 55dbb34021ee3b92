#include "generate/generation_config.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "model/golden.h"

namespace graft {
namespace {

SamplingOptions read(const char* document) {
  const TemporaryFolder folder;
  write_text(folder.path() / "generation_config.json", document);
  return read_generation_config(folder.path()).applied_to({});
}

TEST(GenerationConfig, WhatItSaysIsTakenAndTheRestIsTransformersDefault) {
  const SamplingOptions told = read(R"({"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8,
      "min_p": 0.05, "repetition_penalty": 1.05, "max_new_tokens": 99, "stop_strings": ["a", "b"],
      "eos_token_id": [1, 2]})");
  EXPECT_EQ(told.temperature, 0.7);
  EXPECT_EQ(told.top_k, 20);
  EXPECT_EQ(told.top_p, 0.8);
  EXPECT_EQ(told.min_p, 0.05);
  EXPECT_EQ(told.repetition_penalty, 1.05);
  EXPECT_EQ(told.max_new_tokens, 99);
  EXPECT_EQ(told.stop, (std::vector<std::string>{"a", "b"}));
  const SamplingOptions silent = read(R"({"do_sample": true})");
  EXPECT_EQ(silent.temperature, 1.0);
  EXPECT_EQ(silent.top_k, 50);
  EXPECT_EQ(silent.top_p, 1.0);
  EXPECT_EQ(silent.min_p, 0.0);
  EXPECT_EQ(silent.repetition_penalty, 1.0);
  EXPECT_EQ(silent.max_new_tokens, SamplingOptions{}.max_new_tokens);
}

TEST(GenerationConfig, WithoutDoSampleItIsGreedy) {
  EXPECT_EQ(read(R"({"temperature": 0.7})").temperature, 0.0);
  EXPECT_EQ(read(R"({"temperature": 0.7, "do_sample": false})").temperature, 0.0);
}

TEST(GenerationConfig, WhatIsNotHonouredIsSaid) {
  testing::internal::CaptureStderr();
  read(R"({"num_beams": 4, "typical_p": 1.0, "no_repeat_ngram_size": 3, "bad_words_ids": [[1]]})");
  const std::string said = testing::internal::GetCapturedStderr();
  for (const char* key : {"/num_beams", "/no_repeat_ngram_size", "/bad_words_ids"})
    EXPECT_NE(said.find(key), std::string::npos) << said;
  EXPECT_EQ(said.find("typical_p"), std::string::npos) << said;
}

TEST(GenerationConfig, AMissingOneAndAWrongTypeAreErrors) {
  const TemporaryFolder empty;
  EXPECT_THROW(read_generation_config(empty.path()), Error);
  EXPECT_THROW(read(R"({"do_sample": "yes"})"), Error);
  EXPECT_THROW(read(R"({"top_k": "many"})"), Error);
}

TEST(SamplingChanges, OnlyWhatIsSaidChanges) {
  SamplingChanges changes;
  changes.top_k = 3;
  changes.stop = {"x"};
  const SamplingOptions got = changes.applied_to({.top_p = 0.5, .seed = 7, .stop = {"y"}});
  EXPECT_EQ(got.top_k, 3);
  EXPECT_EQ(got.top_p, 0.5);
  EXPECT_EQ(got.seed, 7U);
  EXPECT_EQ(got.stop, (std::vector<std::string>{"y", "x"}));
}

}  // namespace
}  // namespace graft
