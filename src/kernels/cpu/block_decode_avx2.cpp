#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/k_blocks.h"

namespace graft {
namespace {

// Low and high bytes of the 16 weights, twice: look-ups of bytes stay within 128 bits.
struct Table {
  __m256i low, high;
};

// Rounded to nearest even, NaN quiet with the top of its payload: bf16_of_f32. In the low halves.
[[gnu::always_inline]] inline __m256i round_to_bf16(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x), top = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd), 16);
  const __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

[[gnu::always_inline]] inline __m256i round_to_bf16(__m256 first, __m256 second) {
  return _mm256_permute4x64_epi64(_mm256_packus_epi32(round_to_bf16(first), round_to_bf16(second)), 0xD8);
}

[[gnu::always_inline]] inline Table table_of(__m256 first, __m256 second) {
  const __m256i weights = round_to_bf16(first, second);
  const auto bytes = [](__m256i words) {
    return _mm256_permute4x64_epi64(_mm256_packus_epi16(words, words), 0x88);
  };
  return {bytes(_mm256_and_si256(weights, _mm256_set1_epi16(0xFF))), bytes(_mm256_srli_epi16(weights, 8))};
}

[[gnu::always_inline]] inline Table scaled(const float* values, float scale) {
  const __m256 factor = _mm256_set1_ps(scale);
  return table_of(_mm256_mul_ps(_mm256_loadu_ps(values), factor),
                  _mm256_mul_ps(_mm256_loadu_ps(values + 8), factor));
}

[[gnu::always_inline]] inline Table scaled(const float* values, float scale, float minimum) {
  const __m256 factor = _mm256_set1_ps(scale), term = _mm256_set1_ps(minimum);
  return table_of(_mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(values), factor), term),
                  _mm256_add_ps(_mm256_mul_ps(_mm256_loadu_ps(values + 8), factor), term));
}

// 32 weights from their low and their high bytes.
[[gnu::always_inline]] inline void store(__m256i low, __m256i high, Bf16Bits* out) {
  const __m256i even = _mm256_unpacklo_epi8(low, high), odd = _mm256_unpackhi_epi8(low, high);
  auto* to = reinterpret_cast<__m256i*>(out);
  _mm256_storeu_si256(to, _mm256_permute2x128_si256(even, odd, 0x20));
  _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(even, odd, 0x31));
}

struct Nibbles {
  __m128i low, high;
};
[[gnu::always_inline]] inline Nibbles nibbles(const std::byte* codes) {
  const __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)), mask = _mm_set1_epi8(15);
  return {_mm_and_si128(pairs, mask), _mm_and_si128(_mm_srli_epi16(pairs, 4), mask)};
}

[[gnu::always_inline]] inline void expand(__m256i places, const Table& table, Bf16Bits* out) {
  store(_mm256_shuffle_epi8(table.low, places), _mm256_shuffle_epi8(table.high, places), out);
}

[[gnu::always_inline]] inline void expand_pairs(const std::byte* codes, const Table& table, Bf16Bits* out) {
  const Nibbles half = nibbles(codes);
  expand(_mm256_set_m128i(_mm_unpackhi_epi8(half.high, half.low), _mm_unpacklo_epi8(half.high, half.low)),
         table, out);
}

[[gnu::always_inline]] inline void expand_halves(const std::byte* codes, const Table& table, Bf16Bits* out) {
  const Nibbles half = nibbles(codes);
  expand(_mm256_set_m128i(half.high, half.low), table, out);
}

// All ones in the bytes whose bit of `bits` is set.
[[gnu::always_inline]] inline __m256i bytes_of_bits(std::uint32_t bits) {
  const __m256i byte_of = _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202, 0x0101010101010101, 0);
  const __m256i bit_of = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201U));
  const __m256i spread = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), byte_of);
  return _mm256_cmpeq_epi8(_mm256_and_si256(spread, bit_of), bit_of);
}

[[gnu::always_inline]] inline void expand_fifth(const std::byte* codes, std::uint32_t fifth,
                                                const Table& clear, const Table& set, Bf16Bits* out) {
  const Nibbles half = nibbles(codes);
  const __m256i places = _mm256_set_m128i(half.high, half.low), mask = bytes_of_bits(fifth);
  const auto pick = [&](__m256i a, __m256i b) {
    return _mm256_blendv_epi8(_mm256_shuffle_epi8(a, places), _mm256_shuffle_epi8(b, places), mask);
  };
  store(pick(clear.low, set.low), pick(clear.high, set.high), out);
}

inline Bf16Bits look_up(const Table& table, unsigned code) {
  std::array<std::uint8_t, 32> low, high;
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(low.data()), table.low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(high.data()), table.high);
  return static_cast<Bf16Bits>(low[code] | (high[code] << 8));
}

[[gnu::always_inline]] inline __m256 scaled_bytes(const void* codes, float scale) {
  const __m128i bytes = _mm_loadl_epi64(static_cast<const __m128i*>(codes));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)), _mm256_set1_ps(scale));
}

[[gnu::always_inline]] inline void store_rounded(__m256 first, __m256 second, Bf16Bits* out) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), round_to_bf16(first, second));
}

[[gnu::always_inline]] inline void scale_bytes(const std::byte* codes, float scale, Bf16Bits* out) {
  for (int i = 0; i < 32; i += 16)
    store_rounded(scaled_bytes(codes + i, scale), scaled_bytes(codes + i + 8, scale), out + i);
}

struct VectorHalf {
  [[gnu::always_inline]] static void write(const std::int8_t* codes, float scale, Bf16Bits* out) {
    store_rounded(scaled_bytes(codes, scale), scaled_bytes(codes + 8, scale), out);
  }
  [[gnu::always_inline]] static void write(const std::int8_t* codes, float scale, float minimum,
                                           Bf16Bits* out) {
    const __m256 term = _mm256_set1_ps(minimum);
    store_rounded(_mm256_sub_ps(scaled_bytes(codes, scale), term),
                  _mm256_sub_ps(scaled_bytes(codes + 8, scale), term), out);
  }
};

}  // namespace
}  // namespace graft

#include "kernels/cpu/block_decode_vector.h"

namespace graft {

const BlockDecode block_tables::kAvx2 = kTable;

}  // namespace graft
