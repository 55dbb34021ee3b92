#include "kernels/cpu/int8_rows.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/half.h"

namespace graft {
namespace {

constexpr std::int64_t kRows = 6, kWidth = 301, kStride = 310, kCodeWidth = 304;

std::vector<float> numbers(std::int64_t count, std::uint64_t seed) {
  RandomStream random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}
std::vector<Bf16> rounded(const std::vector<float>& values) {
  std::vector<Bf16> bits;
  for (const float value : values) bits.push_back({bf16_of_f32(value)});
  return bits;
}

class Int8RowsOfPath : public ::testing::TestWithParam<CpuPath> {
 protected:
  const Int8Rows& plain_ = int8_rows(CpuPath::kScalar);
  const Int8Rows& rows_ = int8_rows(GetParam());
};

struct Left {
  std::vector<std::uint8_t> codes = std::vector<std::uint8_t>(kRows * kCodeWidth, 7);
  std::vector<float> scales = std::vector<float>(kRows);
};
Left quantize(const Int8Rows& rows, const std::vector<Bf16>& from, const float* factors) {
  Left left;
  rows.quantize_left({from.data(), kStride, kRows, kWidth}, factors,
                     {left.codes.data(), kCodeWidth, kRows, kCodeWidth}, left.scales.data());
  return left;
}

TEST_P(Int8RowsOfPath, CodesOfALeftOperandAreTheNearestOnesWithAndWithoutFactors) {
  const auto from = rounded(numbers(kRows * kStride, 1));
  const auto factors = numbers(kWidth, 2);
  for (const float* factor : {static_cast<const float*>(nullptr), factors.data()}) {
    const Left got = quantize(rows_, from, factor), want = quantize(plain_, from, factor);
    EXPECT_EQ(got.codes, want.codes);
    EXPECT_EQ(got.scales, want.scales);
    for (std::int64_t i = 0; i < kRows; ++i) {
      float largest = 0;
      for (std::int64_t j = 0; j < kWidth; ++j) {
        const float value = f32_of_bf16(from[static_cast<std::size_t>(i * kStride + j)].bits) *
                            (factor == nullptr ? 1.0F : factor[j]);
        const float scale = got.scales[static_cast<std::size_t>(i)];
        const int code = got.codes[static_cast<std::size_t>(i * kCodeWidth + j)] - 128;
        EXPECT_LE(std::abs(value - scale * static_cast<float>(code)), 0.5001F * scale);
        largest = std::max(largest, std::abs(value));
      }
      EXPECT_EQ(got.scales[static_cast<std::size_t>(i)], largest / 127.0F);
      for (std::int64_t j = kWidth; j < kCodeWidth; ++j)
        EXPECT_EQ(got.codes[static_cast<std::size_t>(i * kCodeWidth + j)], 128);
    }
  }
}

TEST_P(Int8RowsOfPath, RowsThatAreNotFiniteGetTheScaleNanAndRowsOfZerosCodesOfZero) {
  auto from = rounded(numbers(kRows * kStride, 3));
  from[2 * kStride + 5] = {bf16_of_f32(std::numeric_limits<float>::quiet_NaN())};
  from[3 * kStride + kWidth - 1] = {bf16_of_f32(-std::numeric_limits<float>::infinity())};
  for (std::int64_t j = 0; j < kWidth; ++j) from[static_cast<std::size_t>(4 * kStride + j)] = {0};
  from[5 * kStride + kWidth] = {bf16_of_f32(std::numeric_limits<float>::infinity())};  // behind the row
  const Left left = quantize(rows_, from, nullptr);
  EXPECT_TRUE(std::isnan(left.scales[2]));
  EXPECT_TRUE(std::isnan(left.scales[3]));
  EXPECT_EQ(left.scales[4], 0);
  EXPECT_TRUE(std::isfinite(left.scales[5]));
  for (std::size_t i = 2 * kCodeWidth; i < 5 * kCodeWidth; ++i) EXPECT_EQ(left.codes[i], 128) << i;
}

TEST_P(Int8RowsOfPath, WeightsAreCodedAsOnThePlainPath) {
  const auto from = numbers(kRows * kStride, 4);
  std::vector<std::int8_t> codes(kRows * kCodeWidth, 7), want = codes;
  std::vector<float> scales(kRows), want_scales(kRows);
  const RowView<const float> view{from.data(), kStride, kRows, kWidth};
  rows_.quantize_right(view, {codes.data(), kCodeWidth, kRows, kCodeWidth}, scales.data());
  plain_.quantize_right(view, {want.data(), kCodeWidth, kRows, kCodeWidth}, want_scales.data());
  EXPECT_EQ(codes, want);
  EXPECT_EQ(scales, want_scales);
  for (std::size_t i = 0; i < kWidth; ++i)
    EXPECT_NEAR(scales[0] * static_cast<float>(codes[i]), from[i], 0.5001F * scales[0]);
  for (std::size_t i = kWidth; i < kCodeWidth; ++i) EXPECT_EQ(codes[i], 0);
}

std::vector<std::int8_t> some_codes(std::int64_t count) {
  std::vector<std::int8_t> codes(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::int8_t>((i * 37) % 255 - 127);
  return codes;
}
// Where a panel `width` wide has the number (row, column).
std::size_t place(std::int64_t row, std::int64_t column, std::int64_t width) {
  return static_cast<std::size_t>(row / 4 * 4 * width + column * 4 + row % 4);
}

TEST_P(Int8RowsOfPath, PanelsHoldTheTransposeInFoursAndTheirColumnSums) {
  constexpr std::int64_t kDepth = 12, kPanel = 144, kGiven = 135, kFrom = 14;
  const auto from = some_codes(kGiven * kFrom);
  std::vector<std::int8_t> codes(kDepth * kPanel, 9);
  std::vector<std::int32_t> offsets(kPanel, 9);
  const Int8Panel panel{codes.data(), kDepth, kPanel};
  rows_.pack({from.data(), kFrom, kGiven, kDepth}, panel);
  rows_.offsets(panel, offsets.data());
  for (std::int64_t column = 0; column < kPanel; ++column) {
    std::int32_t sum = 0;
    for (std::int64_t row = 0; row < kDepth; ++row) {
      const int want = column < kGiven ? from[static_cast<std::size_t>(column * kFrom + row)] : 0;
      EXPECT_EQ(codes[place(row, column, kPanel)], want);
      sum += want;
    }
    EXPECT_EQ(offsets[static_cast<std::size_t>(column)], 128 * sum);
  }
}

TEST_P(Int8RowsOfPath, TurnedPanelsHoldTheTransposeAndZerosBehindIt) {
  constexpr std::int64_t kFromDepth = 20, kFromWidth = 48, kDepth = 36, kWidth = 32;
  auto from = some_codes(kFromDepth * kFromWidth);
  std::vector<std::int8_t> to(kDepth * kWidth, 9);
  rows_.turn({from.data(), kFromDepth, kFromWidth}, {to.data(), kDepth, kWidth});
  for (std::int64_t row = 0; row < kDepth; ++row)
    for (std::int64_t column = 0; column < kWidth; ++column)
      EXPECT_EQ(to[place(row, column, kWidth)],
                column < kFromDepth ? from[place(column, row, kFromWidth)] : 0)
          << row << " " << column;
}

TEST_P(Int8RowsOfPath, TilesAreScaledAndSetOrAdded) {
  constexpr std::int64_t kTile = 37, kTo = 40, kTall = 3;
  std::vector<std::int32_t> sums(kTall * kTile), offsets(kTile);
  for (std::size_t i = 0; i < sums.size(); ++i)
    sums[i] = static_cast<std::int32_t>(i * 7919 % 100'000) - 50'000;
  for (std::size_t i = 0; i < offsets.size(); ++i) offsets[i] = static_cast<std::int32_t>(i) * 128;
  const auto row_scales = numbers(kTall, 5), column_scales = numbers(kTile, 6);
  const Int8Tile tile{sums.data(), offsets.data(), row_scales.data(), column_scales.data(), kTall, kTile};
  std::vector<float> set(kTall * kTo, 2.0F), added = set;
  rows_.set(tile, set.data(), kTo);
  rows_.add(tile, added.data(), kTo);
  for (std::size_t i = 0; i < kTall; ++i)
    for (std::size_t j = 0; j < kTo; ++j) {
      const bool inside = j < kTile;
      const float want =
          inside ? static_cast<float>(sums[i * kTile + j] - offsets[j]) * (row_scales[i] * column_scales[j])
                 : 2.0F;
      EXPECT_EQ(set[i * kTo + j], want);
      EXPECT_EQ(added[i * kTo + j], inside ? 2.0F + want : 2.0F);
    }
}

INSTANTIATE_TEST_SUITE_P(Paths, Int8RowsOfPath, ::testing::ValuesIn(cpu_paths()),
                         [](const auto& info) { return std::string(name(info.param)); });

}  // namespace
}  // namespace graft
