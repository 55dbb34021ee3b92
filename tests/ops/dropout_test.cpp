#include "ops/dropout.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace graft {
namespace {

constexpr double kP = 0.25;

LoraDropout dropout_of(PackLayout layout, std::uint64_t seed = 1, std::int64_t epoch = 0) {
  return {.probability = kP, .key = {.seed = seed, .epoch = epoch}, .layout = std::move(layout)};
}

TEST(Dropout, KeepsTheMean) {
  const auto x = at::ones({512, 576}, at::kFloat);
  const auto y = drop(x, dropout_of({{0, 512}, {9}}), 3);
  const double n = 512 * 576, deviation = std::sqrt(kP / (1 - kP) / n);
  EXPECT_NEAR(y.mean().item<double>(), 1.0, 5 * deviation);
  const auto kept = y.index({y != 0});
  EXPECT_TRUE(at::allclose(kept, at::full_like(kept, 1 / (1 - kP))));
}

TEST(Dropout, IsTheDocumentedFunctionOfItsKey) {
  const auto y = drop(at::ones({2, 7}, at::kFloat), dropout_of({{0, 2}, {0x1234567890abcdefULL}}, 42, 3), 77);
  const auto key = mix(mix(42, 3), 77);
  for (std::uint32_t t = 0; t < 2; ++t)
    for (std::uint32_t c = 0; c < 7; ++c) {
      const auto words = philox({t, c / 4, 0x90abcdef, 0x12345678},
                                {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
      EXPECT_EQ(y[t][c].item<float>() == 0, words[c % 4] < kP * 4294967296.0) << t << ' ' << c;
    }
}

TEST(Dropout, DependsOnExampleAndPositionAndNotOnThePack) {
  const auto ones = at::ones({90, 37}, at::kBFloat16);
  const auto packed = drop(ones, dropout_of({{0, 20, 50, 90}, {7, 8, 9}}), 3);
  const auto other = drop(ones, dropout_of({{0, 40, 60, 90}, {9, 7, 8}}), 3);
  EXPECT_TRUE(at::equal(packed.slice(0, 0, 20), other.slice(0, 40, 60)));
  EXPECT_TRUE(at::equal(packed.slice(0, 20, 50), other.slice(0, 60, 90)));
  EXPECT_TRUE(at::equal(packed.slice(0, 50, 90), other.slice(0, 0, 40)));
}

TEST(Dropout, DrawsOneMaskPerModuleEpochAndSeed) {
  const auto ones = at::ones({64, 64}, at::kFloat);
  const PackLayout layout{{0, 64}, {7}};
  const auto first = drop(ones, dropout_of(layout, 1, 0), 3);
  EXPECT_TRUE(at::equal(first, drop(ones, dropout_of(layout, 1, 0), 3)));
  for (const auto& other : {drop(ones, dropout_of(layout, 1, 0), 4), drop(ones, dropout_of(layout, 1, 1), 3),
                            drop(ones, dropout_of(layout, 2, 0), 3)})
    EXPECT_NEAR(first.eq(other).to(at::kFloat).mean().item<double>(), kP * kP + (1 - kP) * (1 - kP), 0.05);
}

TEST(Dropout, IsTheSameOnAnyNumberOfThreads) {
  const auto x = at::randn({257, 130});
  const PackLayout layout{{0, 100, 257}, {1, 2}};
  const auto many = drop(x, dropout_of(layout), 3);
  const auto threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = drop(x, dropout_of(layout), 3);
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(one, many));
}

TEST(Dropout, OfProbabilityOneHalfDropsNothingTwice) {
  const auto x = at::full({1, 3}, 8.0, at::kBFloat16);
  auto dropout = dropout_of({{0, 1}, {0}});
  dropout.probability = 0.5;
  const auto y = drop(x, dropout, 0);
  EXPECT_TRUE(((y == 0) | (y == 16)).all().item<bool>());
}

}  // namespace
}  // namespace graft
