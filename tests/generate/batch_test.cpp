#include "generate/batch.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/golden.h"
#include "text/tokenizer.h"

namespace graft {
namespace {

/// Prompts of many lengths, answers of many lengths.
std::vector<Request> requests_for(const Decoder& model, std::size_t count, std::int64_t most,
                                  const SamplingOptions& options) {
  std::vector<Request> requests;
  RandomStream random(3);
  for (std::size_t i = 0; i < count; ++i) {
    Request request{.sampling = options};
    request.sampling.seed += i;
    request.sampling.max_new_tokens =
        1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(most)));
    for (std::uint64_t t = 0, n = 1 + random.below(20); t < n; ++t)
      request.prompt.push_back(
          static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(model.config.vocab_size))));
    if (i % 3 == 0) request.stop_ids = {355, 454, 477};
    requests.push_back(std::move(request));
  }
  return requests;
}

std::vector<Generated> all_of(const Decoder& model, const std::vector<Request>& requests,
                              const BatchLimits& limits) {
  std::vector<Generated> answers(requests.size());
  std::vector<int> came(requests.size());
  generate_batch(model, requests, limits, [&](std::size_t index, Generated answer) {
    answers[index] = std::move(answer);
    ++came[index];
  });
  EXPECT_EQ(came, std::vector<int>(requests.size(), 1));
  return answers;
}

void expect_as_alone(const Decoder& model, const std::vector<Request>& requests, const BatchLimits& limits) {
  const std::vector<Generated> answers = all_of(model, requests, limits);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Generated alone = Generator(model).run(requests[i]);
    EXPECT_EQ(answers[i].tokens, alone.tokens) << "request " << i;
    EXPECT_EQ(answers[i].reason, alone.reason) << "request " << i;
  }
}

const SamplingOptions kGreedy{.temperature = 0.0, .repetition_penalty = 1.2};

TEST(Batch, GreedyAnswersAreThoseWrittenAlone) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  const auto requests = requests_for(model, 24, 40, kGreedy);
  expect_as_alone(model, requests, {.tokens = 100'000});
  expect_as_alone(model, requests, {.tokens = 100'000, .sequences = 3, .prompt_tokens = 16});
}

TEST(Batch, SampledAnswersDoNotDependOnWhatIsWrittenBeside) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  const auto requests = requests_for(model, 12, 24, {.temperature = 1.0, .top_p = 0.95});
  expect_as_alone(model, requests, {.tokens = 400});
}

TEST(Batch, WindowsAndAnglesThatDependOnTheLengthAreEachSequencesOwn) {
  // phi3's long angles begin beyond 16 tokens: some of a pass have them, some not, some get them.
  for (const char* family : {"families/phi3", "families/gemma3", "families/olmo2"}) {
    const Decoder model = load_fp32(golden(family));
    auto requests = requests_for(model, 10, 12, kGreedy);
    for (Request& request : requests) request.stop_ids = {};
    expect_as_alone(model, requests, {.tokens = 120, .sequences = 5});
  }
}

TEST(Batch, NoMoreTokensAreKeptThanAllowedButAlways) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  std::vector<Request> requests(6, Request{.prompt = {5, 6, 7}, .sampling = kGreedy});
  for (Request& request : requests) request.sampling.max_new_tokens = 7;
  std::vector<std::size_t> live;
  for (std::size_t i = 0; i < requests.size(); ++i)
    requests[i].on_token = [&live, i](std::int32_t) {
      live.push_back(i);
      return true;
    };
  // Room for two of ten tokens: tokens come by turns of two requests.
  all_of(model, requests, {.tokens = 25});
  ASSERT_EQ(live.size(), 42U);
  for (std::size_t i = 0; i < live.size(); ++i) EXPECT_EQ(live[i], i / 14 * 2 + i % 2) << i;
  live.clear();
  all_of(model, requests, {.tokens = 1});  // less than any needs: one after the other
  for (std::size_t i = 0; i < live.size(); ++i) EXPECT_EQ(live[i], i / 7) << i;
}

TEST(Batch, ItStopsBetweenPassesWhereItIsTold) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  std::vector<Request> requests(3, Request{.prompt = {5, 6, 7}, .sampling = kGreedy});
  requests[1].sampling.max_new_tokens = 2;
  int passes = 0;
  std::vector<std::size_t> ended;
  generate_batch(
      model, requests, {.tokens = 100'000},
      [&](std::size_t index, const Generated&) { ended.push_back(index); }, [&] { return passes++ < 4; });
  EXPECT_EQ(ended, std::vector<std::size_t>{1});
}

TEST(Batch, APromptThatCannotBeReadIsAnErrorBeforeAnythingIsWritten) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  std::vector<Request> requests(2, Request{.prompt = {5, 6, 7}, .sampling = kGreedy});
  requests[1].prompt.assign(512, 7);
  const auto never = [](std::size_t, const Generated&) { ADD_FAILURE(); };
  EXPECT_THROW(generate_batch(model, requests, {.tokens = 1000}, never), Error);
  requests[1].prompt = {};
  EXPECT_THROW(generate_batch(model, requests, {.tokens = 1000}, never), Error);
}

TEST(Batch, TheLimitFollowsTheMemory) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  // A token: 2 blocks, keys and values of 2 heads of 16 in fp32.
  constexpr std::uint64_t kToken = 2 * 2 * 2 * 16 * 4;
  EXPECT_EQ(batch_limits(model, 8 * 1000 * kToken).tokens, 1000);
  EXPECT_EQ(batch_limits(model, 1).tokens, 1);
  EXPECT_EQ(batch_limits(model, std::uint64_t{1} << 40).tokens, 65'536);
}

TEST(Batch, SmolLM2WritesWhatItWritesAlone) {
  GRAFT_NEED_SMOLLM2();
  const Decoder model = load_fp32(smollm2_gguf());
  const Tokenizer tokenizer = load_tokenizer(smollm2_gguf());
  std::vector<Request> requests;
  for (const char* text :
       {"The capital of France is", "1, 1, 2, 3, 5, 8,", "Once upon a time, in a small village,",
        "def mean(values):\n    ", "Water is made of"})
    requests.push_back({.prompt = tokenizer.encode(text, SpecialTokens::kAdd).ids,
                        .sampling = {.max_new_tokens = 12, .temperature = 0.0, .repetition_penalty = 1.0}});
  expect_as_alone(model, requests, {.tokens = 10'000});
}

}  // namespace
}  // namespace graft
