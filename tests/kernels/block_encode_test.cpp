#include "kernels/cpu/block_encode.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <string>
#include <vector>

namespace graft {
namespace {

// Weights of all exponents, some not finite, in blocks of like size.
std::vector<float> any_weights(std::size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<float> weights(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto exponent = static_cast<std::uint32_t>(i / 64 * 7 % 256),
               less = static_cast<std::uint32_t>(engine() % 3);
    weights[i] = std::bit_cast<float>((static_cast<std::uint32_t>(engine()) & 0x807FFFFFU) |
                                      ((exponent > less ? exponent - less : 0) << 23));
  }
  return weights;
}

TEST(BlockEncode, EveryPathGivesTheBytesOfThePlainLoops) {
  const std::vector<float> weights = any_weights(64 * 600, 1);
  for (const CpuPath path : cpu_paths()) {
    for (const auto member : {&BlockEncode::q8_0, &BlockEncode::q4_0, &BlockEncode::q4_1, &BlockEncode::q5_0,
                              &BlockEncode::q5_1, &BlockEncode::q2_k, &BlockEncode::q3_k, &BlockEncode::q4_k,
                              &BlockEncode::q5_k, &BlockEncode::q6_k}) {
      std::vector<std::byte> want(weights.size() / 32 * 34), got(want.size());
      (block_encode(CpuPath::kScalar).*member)(weights, want.data());
      (block_encode(path).*member)(weights, got.data());
      EXPECT_EQ(got, want) << name(path);
    }
    for (const std::int64_t block : {32, 64, 256}) {
      for (const std::size_t count :
           {weights.size(), std::size_t{64 * 512 + 33}, std::size_t{1}, std::size_t{0}}) {
        const auto part = std::span(weights).first(count);
        const std::size_t blocks =
            (count + static_cast<std::size_t>(block) - 1) / static_cast<std::size_t>(block);
        std::vector<std::byte> want_codes((count + 1) / 2 + 1), codes(want_codes.size());
        std::vector<float> want_absmax(blocks + 1), absmax(blocks + 1);
        block_encode(CpuPath::kScalar).nf4(part, block, want_codes.data(), want_absmax.data());
        block_encode(path).nf4(part, block, codes.data(), absmax.data());
        EXPECT_EQ(codes, want_codes) << name(path) << ", block " << block;
        for (std::size_t i = 0; i < absmax.size(); ++i)
          EXPECT_EQ(std::bit_cast<std::uint32_t>(absmax[i]), std::bit_cast<std::uint32_t>(want_absmax[i]))
              << i;
        EXPECT_EQ(codes.back(), std::byte{0}) << "wrote past its end";
      }
    }
  }
}

}  // namespace
}  // namespace graft
