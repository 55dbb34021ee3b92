#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace graft {
namespace {

// The known answers of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Recipes are reproducible across releases only if these never change (computed by an independent Python
// program).
TEST(RandomStream, IsStableAcrossReleases) {
  RandomStream stream(42);
  EXPECT_EQ(stream.next(), 0x77f5493b9ceaf053U);
  EXPECT_EQ(stream.next(), 0x53ba6cfdfcdb2127U);
  EXPECT_EQ(RandomStream((1ULL << 63) + 5, 1ULL << 40).next(), 0xa2896399252f71faU);
  EXPECT_EQ(mix(1, 2), 0x063bd8f17e95ce77U);
  EXPECT_EQ(mix(2, 1), 0x435db716fd7ebb9cU);
  EXPECT_EQ(hash_name("shuffle", 7), 0x17b75b2fc11766aaU);
  EXPECT_EQ(hash_name("", 0), 0xf52a15e9a9b5e89bU);
  EXPECT_EQ(permutation(10, 42), (std::vector<std::size_t>{2, 8, 7, 0, 1, 6, 4, 5, 3, 9}));
}

TEST(RandomStream, GoesOnFromItsPosition) {
  RandomStream whole(7);
  for (int i = 0; i < 5; ++i) whole.next();
  RandomStream rest(7, whole.position());
  EXPECT_EQ(rest.next(), whole.next());
}

TEST(RandomStream, UniformStaysBelowOneAndHasItsMean) {
  RandomStream stream(1);
  double sum = 0;
  constexpr int kCount = 100'000;
  for (int i = 0; i < kCount; ++i) {
    const double value = stream.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.005);  // 5 standard errors
}

TEST(RandomStream, BelowReachesEveryNumberEquallyOften) {
  RandomStream stream(2);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts[stream.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
  EXPECT_EQ(stream.below(1), 0U);
}

TEST(RandomStream, NormalHasMeanZeroAndVarianceOne) {
  RandomStream stream(3);
  double sum = 0, squares = 0;
  constexpr int kCount = 100'000;
  for (int i = 0; i < kCount; ++i) {
    const double value = stream.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kCount, 0.0, 0.016);
  EXPECT_NEAR(squares / kCount, 1.0, 0.023);
}

TEST(Permutation, HoldsEveryNumberOnceAndDependsOnTheKey) {
  std::vector<std::size_t> order = permutation(1000, 5);
  EXPECT_NE(order, permutation(1000, 6));
  EXPECT_EQ(order, permutation(1000, 5));
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], i);
  EXPECT_TRUE(permutation(0, 1).empty());
}

}  // namespace
}  // namespace graft
