#include "kernels/encode.h"

#include <array>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/half.h"
#include "kernels/magnitude.h"

namespace graft {
namespace {

constexpr std::size_t kBlock = 32;

// To the nearest integer, halves away from zero; |x| < 2^23.
std::int8_t round_half_away(float x) {
  const float magnitude = std::abs(x), whole = static_cast<float>(static_cast<std::int32_t>(magnitude));
  const std::int32_t rounded = static_cast<std::int32_t>(whole) + (magnitude - whole >= 0.5F ? 1 : 0);
  return static_cast<std::int8_t>(x < 0 ? -rounded : rounded);
}

void encode_block(std::span<const float> weights, std::byte* block) {
  const float scale = largest_magnitude(weights) / 127.0F;
  const std::uint16_t half = f16_of_f32(scale);
  std::memcpy(block, &half, sizeof half);
  std::array<std::int8_t, kBlock> codes{};
  // A scale so small that it has no inverse is 0 in fp16; of one that is not finite the codes say nothing.
  const float inverse = scale == 0 ? 0.0F : 1.0F / scale;
  if (std::isfinite(scale) && std::isfinite(inverse)) {
    for (std::size_t i = 0; i < kBlock; ++i) codes[i] = round_half_away(weights[i] * inverse);
  }
  std::memcpy(block + sizeof half, codes.data(), kBlock);
}

}  // namespace

void encode_q8_0(std::span<const float> weights, std::byte* blocks) {
  assert(weights.size() % kBlock == 0);
  for (std::size_t i = 0; i < weights.size(); i += kBlock, blocks += 2 + kBlock)
    encode_block(weights.subspan(i, kBlock), blocks);
}

}  // namespace graft
