#include "ops/rotary.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ops/gradients.h"

namespace graft {
namespace {

using testing::gradients;
using testing::random;
using testing::relative_difference;
using testing::Tensors;

constexpr double kFp32 = 1e-6;
constexpr double kBf16 = 3e-3;  // one rounding of the result
const PackLayout kLayout{{0, 2, 5}, {1, 2}};

std::vector<double> frequencies(std::int64_t half) {
  std::vector<double> result;
  for (std::int64_t i = 0; i < half; ++i)
    result.push_back(std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half)));
  return result;
}

// apply_rotary_pos_emb of Hugging Face.
at::Tensor reference(const at::Tensor& x, const RotaryTable& table) {
  const auto cos = at::cat({table.cos, table.cos}, -1).unsqueeze(1).to(x.scalar_type());
  const auto sin = at::cat({table.sin, table.sin}, -1).unsqueeze(1).to(x.scalar_type());
  const auto halves = x.chunk(2, -1);
  return x * cos + at::cat({-halves[1], halves[0]}, -1) * sin;
}

TEST(Rotary, MatchesFiniteDifferences) {
  at::manual_seed(1);
  const auto table = rotary_table(kLayout, frequencies(3), 1.0, 0, at::kDouble);
  testing::expect_finite_differences([&](const Tensors& in) { return rotary(in[0], table); },
                                     {random({5, 2, 6})});
}

TEST(Rotary, MatchesAtenInEveryType) {
  at::manual_seed(2);
  const PackLayout layout{{0, 40, 71}, {1, 2}};
  const auto x = random({71, 3, 64}), dy = random({71, 3, 64});
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, kFp32}, std::pair{at::kBFloat16, kBf16}}) {
    const auto table = rotary_table(layout, frequencies(32), 1.0, 0, dtype);
    const auto rounded = x.to(dtype), dyr = dy.to(dtype);
    const auto wide = rounded.to(at::kDouble);
    EXPECT_LT(relative_difference(rotary(rounded, table), reference(wide, table)), tolerance);
    const auto got = gradients([&](const Tensors& in) { return rotary(in[0], table); }, {rounded}, dyr);
    const auto want =
        gradients([&](const Tensors& in) { return reference(in[0], table); }, {wide}, dyr.to(at::kDouble));
    EXPECT_LT(relative_difference(got[0], want[0]), tolerance);
  }
}

TEST(Rotary, OfANarrowerTableTurnsTheFirstDimsAlone) {
  at::manual_seed(7);
  const auto table = rotary_table(kLayout, frequencies(3), 1.0, 0, at::kDouble);
  const auto x = random({5, 2, 10});
  const auto y = rotary(x, table);
  EXPECT_TRUE(at::equal(y.narrow(2, 0, 6), rotary(x.narrow(2, 0, 6), table)));
  EXPECT_TRUE(at::equal(y.narrow(2, 6, 4), x.narrow(2, 6, 4)));
  testing::expect_finite_differences([&](const Tensors& in) { return rotary(in[0], table); }, {x});
}

TEST(Rotary, LeavesItsInputAlone) {
  const auto table = rotary_table(kLayout, frequencies(3), 1.0, 0, at::kFloat);
  const auto x = at::ones({5, 2, 6}, at::kFloat);
  rotary(x, table);
  EXPECT_TRUE(at::equal(x, at::ones_like(x)));
}

TEST(RotaryTable, RestartsPositionsAtEachSequence) {
  const auto table = rotary_table(kLayout, frequencies(4), 1.0, 0, at::kFloat);
  EXPECT_TRUE(at::equal(table.cos.slice(0, 0, 2), table.cos.slice(0, 2, 4)));
  EXPECT_TRUE(at::equal(table.sin[0], at::zeros({4}, at::kFloat)));
  EXPECT_FALSE(at::equal(table.sin[4], table.sin[1]));
}

TEST(RotaryTable, GoesOnFromItsOffset) {
  const auto all = rotary_table(PackLayout::single(9), frequencies(4), 1.0, 0, at::kFloat);
  const auto tail = rotary_table(PackLayout::single(2), frequencies(4), 1.0, 7, at::kFloat);
  EXPECT_TRUE(at::equal(all.cos.slice(0, 7), tail.cos) && at::equal(all.sin.slice(0, 7), tail.sin));
}

TEST(RotaryTable, RoundsToTheComputeTypeAndScales) {
  const auto table = rotary_table(PackLayout::single(50), frequencies(8), 0.5, 0, at::kBFloat16);
  EXPECT_EQ(table.cos.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(table.cos, table.cos.to(at::kBFloat16).to(at::kFloat)));
  EXPECT_TRUE(at::equal(table.cos[0], at::full({8}, 0.5, at::kFloat)));
}

}  // namespace
}  // namespace graft
