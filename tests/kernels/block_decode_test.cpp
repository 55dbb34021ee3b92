#include "kernels/cpu/block_decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

namespace graft {
namespace {

constexpr DType kBlockTypes[] = {DType::kQ4_0, DType::kQ4_1,  DType::kQ5_0, DType::kQ5_1, DType::kQ8_0,
                                 DType::kQ2_K, DType::kQ3_K,  DType::kQ4_K, DType::kQ5_K, DType::kQ6_K,
                                 DType::kQ8_K, DType::kIq4Nl, DType::kIq4Xs};

std::vector<std::byte> random_bytes(std::size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(engine());
  return bytes;
}

// Equal bits, or NaN both.
void expect_same(const std::vector<Bf16Bits>& got, const std::vector<Bf16Bits>& want,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::isnan(f32_of_bf16(want[i])))
      ASSERT_TRUE(std::isnan(f32_of_bf16(got[i]))) << what << " at " << i;
    else
      ASSERT_EQ(got[i], want[i]) << what << " at " << i;
  }
}

// Random bytes are every code under scales and minima of every kind: denormal, huge, infinite, NaN.
TEST(BlockDecode, EveryPathEqualsRoundedFp32) {
  constexpr std::size_t kBlocks = 4096;
  for (const DType dtype : kBlockTypes) {
    const std::size_t values = kBlocks * traits(dtype).values;
    const auto bytes = random_bytes(1 + kBlocks * traits(dtype).bytes, 1);
    const auto blocks = std::span(bytes).subspan(1);  // at an odd address
    std::vector<float> exact(values);
    decode_to_f32(dtype, blocks, exact);
    std::vector<Bf16Bits> want(values);
    std::transform(exact.begin(), exact.end(), want.begin(), bf16_of_f32);
    for (const CpuPath path : cpu_paths()) {
      std::vector<Bf16Bits> got(values);
      block_decode(path).run(dtype)(blocks.data(), 0, static_cast<std::int64_t>(values), got.data());
      expect_same(got, want, std::string(traits(dtype).name) + ", " + std::string(name(path)));
    }
  }
}

TEST(BlockDecode, WritesNoMoreThanItsRun) {
  const auto bytes = random_bytes(292, 2);
  for (const DType dtype : kBlockTypes) {
    for (const CpuPath path : cpu_paths()) {
      std::vector<Bf16Bits> out(33, 7);
      block_decode(path).run(dtype)(bytes.data(), 0, 0, out.data());
      EXPECT_EQ(out.front(), 7);
      block_decode(path).run(dtype)(bytes.data(), 0, 32, out.data());
      EXPECT_EQ(out.back(), 7) << traits(dtype).name << ", " << name(path);
    }
  }
  EXPECT_EQ(block_decode().run(DType::kBF16), nullptr);
}

// A product reads panels of a row: runs that begin and end within blocks.
TEST(BlockDecode, RunsBeginAndEndAtAnyMultipleOf32) {
  constexpr std::int64_t kRow = 768;
  for (const DType dtype : kBlockTypes) {
    const auto blocks = random_bytes(kRow / traits(dtype).values * traits(dtype).bytes, 6);
    for (const CpuPath path : cpu_paths()) {
      const DecodeRun decode = block_decode(path).run(dtype);
      std::vector<Bf16Bits> row(kRow);
      decode(blocks.data(), 0, kRow, row.data());
      for (std::int64_t first = 0; first < kRow; first += kDecodeUnit) {
        for (std::int64_t last = first; last <= kRow; last += kDecodeUnit) {
          std::vector<Bf16Bits> run(static_cast<std::size_t>(last - first));
          decode(blocks.data(), first, last - first, run.data());
          expect_same(run, {row.begin() + first, row.begin() + last},
                      std::string(traits(dtype).name) + ", " + std::string(name(path)));
        }
      }
    }
  }
}

// Runs of every start and length in tensors of several block sizes, with plain and with doubly quantised
// scales.
TEST(BlockDecode, Nf4EqualsRoundedFp32FromAnyStart) {
  constexpr std::int64_t kCount = 1000;
  const auto codes = random_bytes(kCount / 2, 3);
  const auto scale_codes = random_bytes(kCount / 2, 4);
  std::vector<float> absmax(kCount / 2), nested(kCount / 2);
  std::mt19937 engine(5);
  for (float& scale : absmax)
    scale = std::ldexp(static_cast<float>(engine()) * 0x1p-32F, static_cast<int>(engine() % 300) - 150);
  for (float& scale : nested) scale = static_cast<float>(engine()) * 0x1p-36F;
  for (const std::int64_t block : {2, 32, 64, 128, 4096}) {
    for (const bool is_double : {false, true}) {
      const Nf4View view{.codes = codes.data(),
                         .block = block,
                         .absmax = is_double ? nullptr : absmax.data(),
                         .absmax_codes = reinterpret_cast<const std::uint8_t*>(scale_codes.data()),
                         .absmax_map = dynamic_map().data(),
                         .nested_absmax = nested.data(),
                         .nested_block = 4,
                         .offset = 0.03F};
      for (int trial = 0; trial < 200; ++trial) {
        const auto first = static_cast<std::int64_t>(engine() % kCount);
        const auto count = trial == 0 ? 0 : static_cast<std::int64_t>(engine() % (kCount - first)) + 1;
        std::vector<float> exact(static_cast<std::size_t>(count));
        decode_nf4(view, first, exact);
        std::vector<Bf16Bits> want(exact.size() + 1, 7);
        std::transform(exact.begin(), exact.end(), want.begin(), bf16_of_f32);
        for (const CpuPath path : cpu_paths()) {
          std::vector<Bf16Bits> got(want.size(), 7);
          block_decode(path).nf4(view, first, count, got.data());
          expect_same(got, want, std::string(name(path)) + ", block " + std::to_string(block));
        }
      }
    }
  }
}

}  // namespace
}  // namespace graft
