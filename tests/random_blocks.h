#pragma once

#include <cstddef>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/dtype.h"

namespace graft {

/// Where the fp16 scale and minimum of a block of 256 weights lie, or of IQ4_NL; of Q8_K, the fp32 scale.
inline std::vector<std::size_t> scales_of_block(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ6_K:
      return {208};
    default:
      return {0};
  }
}

/// Blocks for `weights` weights of such a type: random codes under scales that make them small.
inline std::vector<std::byte> random_blocks(DType dtype, std::size_t weights, unsigned seed) {
  constexpr float kScale = 1e-4F;
  const DTypeTraits& type = traits(dtype);
  std::mt19937 engine(seed);
  std::vector<std::byte> blocks(weights / type.values * type.bytes);
  for (std::byte& byte : blocks) byte = static_cast<std::byte>(engine());
  const std::uint16_t half = f16_of_f32(kScale);
  for (std::size_t block = 0; block < blocks.size(); block += type.bytes) {
    if (dtype == DType::kQ8_K) {
      std::memcpy(&blocks[block], &kScale, sizeof kScale);
      continue;
    }
    for (const std::size_t place : scales_of_block(dtype))
      std::memcpy(&blocks[block + place], &half, sizeof half);
  }
  return blocks;
}

}  // namespace graft
