#pragma once

#include "kernels/cpu/block_encode.h"
#include "kernels/cpu/k_encode_loops.h"
#include "kernels/half.h"
#include "kernels/nf4.h"

/// Plain loops, compiled once per instruction set: the compiler makes vector code of them. No function of the
/// standard library that might not be inlined is called: files compiled for different instruction sets must
/// not share one.
namespace graft {
namespace {

// The largest |value|; NaN where one is NaN: as integers, magnitudes have the same order and NaN is above
// infinity.
inline float largest_magnitude(const float* values, std::size_t count) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t magnitude = __builtin_bit_cast(std::uint32_t, values[i]) & 0x7FFFFFFFU;
    largest = magnitude > largest ? magnitude : largest;
  }
  return __builtin_bit_cast(float, largest);
}

constexpr std::size_t kChunk = 64;  // weights encoded at a time
// torch clamps a scale to this before it divides by it: a block of zeros becomes codes of 0.
constexpr float kSmallestScale = 1e-38F;

// Halfway points between neighbouring values of the code book: a code is how many lie below the weight.
struct Bounds {
  float at[15];
};
constexpr Bounds nf4_bounds() {
  Bounds bounds{};
  for (std::size_t i = 0; i < 15; ++i)
    bounds.at[i] = (kNf4Values.data()[i] + kNf4Values.data()[i + 1]) / 2.0F;
  return bounds;
}
constexpr Bounds kBounds = nf4_bounds();

// Packed codes of kChunk weights, scaled to [-1, 1] but for rounding. NaN gets the last code, as torch's
// bucketize.
inline void pack_nf4(const float* scaled, std::int32_t* places, std::uint8_t* packed) {
  for (std::size_t i = 0; i < kChunk; ++i) {
    std::int32_t place = 0;
    for (const float bound : kBounds.at) place += bound >= scaled[i] ? 0 : 1;
    places[i] = place;
  }
  for (std::size_t i = 0; i < kChunk / 2; ++i)
    packed[i] = static_cast<std::uint8_t>((places[2 * i] << 4) | places[2 * i + 1]);
}

void encode_nf4_block(const float* weights, std::size_t count, bool is_whole, std::byte* codes,
                      float* absmax) {
  const float largest = largest_magnitude(weights, count);
  const float divisor = largest < kSmallestScale ? kSmallestScale : largest, inverse = 1.0F / divisor;
  *absmax = is_whole ? largest : divisor;
  float scaled[kChunk];
  std::int32_t places[kChunk];
  std::uint8_t packed[kChunk / 2];
  for (std::size_t first = 0; first < count; first += kChunk) {
    const std::size_t rest = count - first, here = rest < kChunk ? rest : kChunk;
    // Weights of 0 fill up the last chunk: the odd half of a last byte.
    for (std::size_t i = here; i < kChunk; ++i) scaled[i] = 0;
    // bitsandbytes multiplies whole blocks by the inverse, but divides a short last block. It clamps to [-1,
    // 1] after that, which changes no code.
    if (is_whole)
      for (std::size_t i = 0; i < here; ++i) scaled[i] = weights[first + i] * inverse;
    else
      for (std::size_t i = 0; i < here; ++i) scaled[i] = weights[first + i] / divisor;
    pack_nf4(scaled, places, packed);
    __builtin_memcpy(codes + first / 2, packed, (here + 1) / 2);
  }
}

void encode_nf4_blocks(std::span<const float> weights, std::int64_t block, std::byte* codes, float* absmax) {
  const auto size = static_cast<std::size_t>(block);
  const float* from = weights.data();
  for (std::size_t rest = weights.size(); rest > 0;) {
    const std::size_t count = rest < size ? rest : size;
    encode_nf4_block(from, count, count == size, codes, absmax++);
    from += count, codes += (count + 1) / 2, rest -= count;
  }
}

constexpr std::size_t kRun = 32;  // weights of a block of Q8_0

// To the nearest integer, halves away from zero; |x| < 2^23.
inline std::int32_t round_half_away(float x) {
  const float magnitude = __builtin_fabsf(x);
  const auto whole = static_cast<std::int32_t>(magnitude);
  const std::int32_t rounded = whole + (magnitude - static_cast<float>(whole) >= 0.5F ? 1 : 0);
  return x < 0 ? -rounded : rounded;
}

void encode_q8_0_blocks(std::span<const float> weights, std::byte* blocks) {
  const float* from = weights.data();
  for (std::size_t rest = weights.size(); rest >= kRun; rest -= kRun, from += kRun, blocks += 2 + kRun) {
    const float scale = largest_magnitude(from, kRun) / 127.0F;
    const std::uint16_t half = f16_of_f32(scale);
    // A scale so small that it has no inverse is 0 in fp16; of one that is not finite the codes say nothing.
    const float inverse = scale == 0 ? 0.0F : 1.0F / scale;
    const bool is_finite = scale <= __FLT_MAX__ && inverse <= __FLT_MAX__;
    std::int8_t codes[kRun] = {};
    if (is_finite)
      for (std::size_t i = 0; i < kRun; ++i)
        codes[i] = static_cast<std::int8_t>(round_half_away(from[i] * inverse));
    __builtin_memcpy(blocks, &half, sizeof half);
    __builtin_memcpy(blocks + 2, codes, kRun);
  }
}

// The first weight of the largest magnitude, and the smallest and largest of all.
inline float first_largest(const float* values) {
  float largest = values[0];
  for (std::size_t i = 1; i < kRun; ++i)
    largest = __builtin_fabsf(values[i]) > __builtin_fabsf(largest) ? values[i] : largest;
  return largest;
}
inline float smallest_of(const float* values) {
  float smallest = values[0];
  for (std::size_t i = 1; i < kRun; ++i) smallest = values[i] < smallest ? values[i] : smallest;
  return smallest;
}
inline float largest_of(const float* values) {
  float largest = values[0];
  for (std::size_t i = 1; i < kRun; ++i) largest = values[i] > largest ? values[i] : largest;
  return largest;
}

/// Q4_0, Q4_1, Q5_0, Q5_1: a scale (from the weight of largest magnitude, which becomes code 0) or a scale
/// and a minimum, in fp16; for 5 bits the fifth ones [4]; the low bits, of the first half's codes in the low
/// half of a byte [16].
template <int kBits, bool kHasMinimum>
void encode_small_blocks(std::span<const float> weights, std::byte* blocks) {
  constexpr int kTop = (1 << kBits) - 1, kMiddle = 1 << (kBits - 1);
  constexpr std::size_t kHalves = kHasMinimum ? 4 : 2, kFifth = kBits == 5 ? 4 : 0, kHalf = kRun / 2;
  const float* from = weights.data();
  for (std::size_t rest = weights.size(); rest >= kRun; rest -= kRun, from += kRun) {
    const float minimum = kHasMinimum ? smallest_of(from) : 0.0F;
    const float scale = kHasMinimum ? (largest_of(from) - minimum) / static_cast<float>(kTop)
                                    : first_largest(from) / static_cast<float>(-kMiddle);
    const float inverse = scale == 0 ? 0.0F : 1.0F / scale;
    const float middle = kHasMinimum ? 0.5F : static_cast<float>(kMiddle) + 0.5F;
    const bool has_inverse = __builtin_fabsf(inverse) <= __FLT_MAX__;
    std::int32_t codes[kRun] = {};
    if (has_inverse)
      for (std::size_t i = 0; i < kRun; ++i) {
        float place = (from[i] - minimum) * inverse + middle;
        place = place > 0 ? place : 0.0F;
        place = place < static_cast<float>(kTop) ? place : static_cast<float>(kTop);
        codes[i] = static_cast<std::int32_t>(place);
      }
    put_half(blocks, scale);
    if (kHasMinimum) put_half(blocks + 2, minimum);
    if (kBits == 5) {
      std::uint32_t fifth = 0;
      for (std::size_t i = 0; i < kRun; ++i) fifth |= (static_cast<std::uint32_t>(codes[i]) >> 4) << i;
      __builtin_memcpy(blocks + kHalves, &fifth, sizeof fifth);
    }
    for (std::size_t i = 0; i < kHalf; ++i)
      blocks[kHalves + kFifth + i] = static_cast<std::byte>((codes[i] & 15) | ((codes[kHalf + i] & 15) << 4));
    blocks += kHalves + kFifth + kHalf;
  }
}

constexpr BlockEncode kTable = {.nf4 = encode_nf4_blocks,
                                .q8_0 = encode_q8_0_blocks,
                                .q4_0 = encode_small_blocks<4, false>,
                                .q4_1 = encode_small_blocks<4, true>,
                                .q5_0 = encode_small_blocks<5, false>,
                                .q5_1 = encode_small_blocks<5, true>,
                                .q2_k = encode_k_blocks<encode_q2_k_block, 84>,
                                .q3_k = encode_k_blocks<encode_q3_k_block, 110>,
                                .q4_k = encode_k_blocks<encode_k4_block<4>, 144>,
                                .q5_k = encode_k_blocks<encode_k4_block<5>, 176>,
                                .q6_k = encode_k_blocks<encode_q6_k_block, 210>};

}  // namespace
}  // namespace graft
