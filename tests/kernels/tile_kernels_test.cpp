#include "kernels/cpu/tile_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/half.h"

namespace graft {
namespace {

constexpr std::int64_t kRows = 5, kWidth = 48, kColumns = 37, kStride = 41;  // a row ends inside a vector
constexpr float kOneRounding = 1.0F / 128;  // of bf16: paths may round a sum differently by one last bit

std::vector<float> sums(std::uint64_t seed) {
  RandomStream random(seed);
  std::vector<float> values(static_cast<std::size_t>(kRows * kWidth));
  for (float& value : values) value = static_cast<float>(3 * random.normal());
  return values;
}
std::vector<Bf16> numbers(std::uint64_t seed) {
  RandomStream random(seed);
  std::vector<Bf16> values(static_cast<std::size_t>(kRows * kStride));
  for (Bf16& value : values) value = {bf16_of_f32(static_cast<float>(2 * random.normal()))};
  return values;
}
RowView<Bf16> view(std::vector<Bf16>& values) { return {values.data(), kStride, kRows, kColumns}; }
RowView<const Bf16> read(const std::vector<Bf16>& values) {
  return {values.data(), kStride, kRows, kColumns};
}

void expect_near(const std::vector<Bf16>& got, const std::vector<Bf16>& want) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    const float a = f32_of_bf16(got[i].bits), b = f32_of_bf16(want[i].bits);
    EXPECT_NEAR(a, b, kOneRounding * std::abs(b) + 1e-6F) << i;
  }
}

class TileKernelsOfPath : public ::testing::TestWithParam<CpuPath> {};

TEST_P(TileKernelsOfPath, RoundTheSumOfSumsBiasAndAddend) {
  const auto tile = sums(1);
  const auto bias = numbers(2), addend = numbers(3);
  for (const bool all : {false, true}) {
    auto got = numbers(9), want = got;
    const RowView<const Bf16> more = all ? read(addend) : RowView<const Bf16>{nullptr, 0, 0, 0};
    tile_kernels(GetParam()).round(tile.data(), kWidth, all ? bias.data() : nullptr, more, view(got));
    for (std::int64_t i = 0; i < kRows; ++i)
      for (std::int64_t j = 0; j < kColumns; ++j) {
        float value = tile[static_cast<std::size_t>(i * kWidth + j)];
        if (all) value += f32_of_bf16(bias[static_cast<std::size_t>(j)].bits);
        if (all) value += f32_of_bf16(addend[static_cast<std::size_t>(i * kStride + j)].bits);
        want[static_cast<std::size_t>(i * kStride + j)] = {bf16_of_f32(value)};
      }
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_EQ(got[i].bits, want[i].bits) << i;  // and no other
  }
}

TEST_P(TileKernelsOfPath, GateLikeTheScalarModel) {
  const auto gate_sums = sums(4), up_sums = sums(5);
  const auto bias = numbers(6);
  std::vector<Bf16> got[3]{numbers(7), numbers(7), numbers(7)}, want[3]{numbers(7), numbers(7), numbers(7)};
  for (auto [path, to] : {std::pair{GetParam(), got}, {CpuPath::kScalar, want}})
    tile_kernels(path).swiglu(gate_sums.data(), up_sums.data(), kWidth, bias.data(), nullptr, view(to[0]),
                              view(to[1]), view(to[2]));
  for (int i = 0; i < 3; ++i) expect_near(got[i], want[i]);
}

TEST_P(TileKernelsOfPath, MakeTheSameGatedProductInTheBackward) {
  const auto gate_sums = sums(4), up_sums = sums(5), dh = sums(8);
  auto gate = numbers(7), up = numbers(7), h = numbers(7), again = numbers(7), dgate = numbers(7),
       dup = numbers(7), dgate_want = numbers(7), dup_want = numbers(7);
  const auto& kernels = tile_kernels(GetParam());
  kernels.swiglu(gate_sums.data(), up_sums.data(), kWidth, nullptr, nullptr, view(gate), view(up), view(h));
  kernels.swiglu_backward(dh.data(), kWidth, read(gate), read(up), view(dgate), view(dup), view(again));
  for (std::size_t i = 0; i < h.size(); ++i) EXPECT_EQ(h[i].bits, again[i].bits) << i;
  tile_kernels(CpuPath::kScalar)
      .swiglu_backward(dh.data(), kWidth, read(gate), read(up), view(dgate_want), view(dup_want),
                       view(again));
  expect_near(dgate, dgate_want);
  expect_near(dup, dup_want);
}

INSTANTIATE_TEST_SUITE_P(Paths, TileKernelsOfPath, ::testing::ValuesIn(cpu_paths()),
                         [](const auto& info) { return std::string(name(info.param)); });

}  // namespace
}  // namespace graft
