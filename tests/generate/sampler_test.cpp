#include "generate/sampler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "model/golden.h"

namespace graft {
namespace {

SamplingOptions greedy() { return {.temperature = 0.0, .top_p = 1.0, .repetition_penalty = 1.0}; }

at::Tensor logits_of(const std::vector<float>& values) { return at::tensor(at::ArrayRef<float>(values)); }

/// How often each id comes in `count` draws.
std::vector<double> frequencies(const SamplingOptions& options, const at::Tensor& logits,
                                const std::vector<std::int32_t>& seen, int count) {
  Sampler sampler(options);
  std::vector<double> share(static_cast<std::size_t>(logits.numel()));
  for (int i = 0; i < count; ++i) share[static_cast<std::size_t>(sampler.next(logits, seen))] += 1.0 / count;
  return share;
}

TEST(Sampler, GreedyTakesTheLikeliestAndOfEqualsTheFirst) {
  Sampler sampler(greedy());
  EXPECT_EQ(sampler.next(logits_of({0.1F, 3.0F, -1.0F}), {}), 1);
  EXPECT_EQ(sampler.next(logits_of({2.0F, 3.0F, 3.0F}), {}), 1);
}

TEST(Sampler, RepetitionPenaltyDividesPositiveScoresAndMultipliesNegativeOnes) {
  SamplingOptions options = greedy();
  options.repetition_penalty = 2.0;
  Sampler sampler(options);
  const std::vector<std::int32_t> first = {0, 0, 0};
  EXPECT_EQ(sampler.next(logits_of({3.0F, 1.4F}), first), 0)
      << "a token seen thrice is penalised once: 1.5 > 1.4";
  EXPECT_EQ(sampler.next(logits_of({3.0F, 1.6F}), first), 1);
  EXPECT_EQ(sampler.next(logits_of({-1.0F, -1.9F}), first), 1) << "-2 < -1.9";
  EXPECT_EQ(sampler.next(logits_of({-1.0F, -2.1F}), first), 0);
}

SamplingOptions options_of(const Json& one) {
  return {.temperature = one["temperature"],
          .top_k = one["top_k"],
          .top_p = one["top_p"],
          .min_p = one["min_p"],
          .repetition_penalty = one["repetition_penalty"]};
}

TEST(Sampler, ChancesAreTransformersProcessors) {
  const Json cases = read_json(golden("generate/sampler.json"));
  ASSERT_GE(cases.size(), 12U);
  for (const Json& one : cases) {
    const auto want = one["probabilities"].get<std::vector<double>>();
    const auto seen = one["seen"].get<std::vector<std::int32_t>>();
    std::vector<double> got(want.size());
    for (const TokenChance& chance : token_chances(logits_of(one["logits"]), seen, options_of(one)))
      got[static_cast<std::size_t>(chance.id)] = chance.probability;
    for (std::size_t id = 0; id < want.size(); ++id) {
      EXPECT_EQ(got[id] == 0.0, want[id] == 0.0) << one["name"] << " token " << id;
      EXPECT_NEAR(got[id], want[id], 1e-6) << one["name"] << " token " << id;
    }
  }
}

TEST(Sampler, TheTinyModelsKeptTokensAreTransformers) {
  const Decoder model = load_fp32(golden("tiny_llama"));
  for (const Json& row : read_json(golden("generate/tiny.json"))) {
    const auto ids = row["ids"].get<std::vector<std::int32_t>>();
    const at::Tensor logits = sequence_logits(model, ids)[-1];
    for (const Json& one : row["kept"]) {
      std::vector<std::int32_t> kept;
      double best = 0.0;
      for (const TokenChance& chance : token_chances(logits, ids, options_of(one))) {
        kept.push_back(chance.id);
        best = std::max(best, chance.probability);
      }
      EXPECT_EQ(Json(kept), one["ids"]) << row["prompt"] << " min_p " << one["min_p"];
      EXPECT_NEAR(best, one["best"].get<double>(), 1e-4);
    }
  }
}

TEST(Sampler, DrawsFollowTheChances) {
  for (const Json& one : read_json(golden("generate/sampler.json"))) {
    const auto want = one["probabilities"].get<std::vector<double>>();
    const auto share = frequencies(options_of(one), logits_of(one["logits"]), one["seen"], 20000);
    for (std::size_t id = 0; id < want.size(); ++id) {
      // Four standard deviations of a share of 20,000 draws, and a little.
      EXPECT_NEAR(share[id], want[id], 4.0 * std::sqrt(want[id] / 20000.0) + 1e-4)
          << one["name"] << " token " << id;
    }
  }
}

TEST(Sampler, SameSeedDrawsTheSameAndAnotherSeedDoesNot) {
  const at::Tensor logits = at::zeros({50});
  const auto draw = [&](std::uint64_t seed) {
    Sampler sampler({.temperature = 1.0, .top_p = 1.0, .seed = seed});
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 30; ++i) ids.push_back(sampler.next(logits, {}));
    return ids;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Sampler, ATinyTemperatureIsGreedyAndStaysFinite) {
  Sampler sampler({.temperature = 1e-30, .repetition_penalty = 1.0});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(sampler.next(logits_of({999.0F, 1e3F, -1e3F}), {}), 1);
}

TEST(Sampler, AnExcludedTokenIsNeverDrawn) {
  const float never = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(frequencies({.temperature = 2.0, .top_p = 1.0}, logits_of({0.0F, never, 0.0F}), {}, 500)[1], 0.0);
}

TEST(Sampler, LogitsThatAreNoNumbersAreAnErrorOfNumerics) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (const auto& bad :
       {std::vector<float>{0.0F, nan}, std::vector<float>{inf, 0.0F}, std::vector<float>{-inf, -inf}}) {
    for (const double temperature : {0.0, 1.0}) {
      Sampler sampler({.temperature = temperature});
      try {
        sampler.next(logits_of(bad), {});
        ADD_FAILURE();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::kNumerics);
      }
    }
  }
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<SamplingOptions, const char*>> cases = {
      {{.max_new_tokens = 0}, "max_new_tokens"},
      {{.temperature = -0.1}, "temperature"},
      {{.temperature = nan}, "temperature"},
      {{.top_k = -1}, "top_k"},
      {{.top_p = 0.0}, "top_p"},
      {{.top_p = 1.1}, "top_p"},
      {{.top_p = nan}, "top_p"},
      {{.min_p = -0.1}, "min_p"},
      {{.min_p = 1.5}, "min_p"},
      {{.min_p = nan}, "min_p"},
      {{.stop = {"a", ""}}, "stop"},
      {{.repetition_penalty = 0.0}, "repetition_penalty"},
      {{.repetition_penalty = nan}, "repetition_penalty"}};
  for (const auto& [options, name] : cases) {
    try {
      const Sampler sampler(options);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace graft
