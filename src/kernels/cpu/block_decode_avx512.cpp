#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/k_blocks.h"

namespace graft {
namespace {

using Table = __m512i;  // the 16 weights twice: a look-up ignores the fifth bit of a code

// Rounded to nearest even, NaN quiet with the top of its payload: bf16_of_f32.
[[gnu::always_inline]] inline __m256i round_to_bf16(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x), top = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, top, _mm512_set1_epi32(0x40)));
}

[[gnu::always_inline]] inline __m512i join(__m256i low, __m256i high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

[[gnu::always_inline]] inline Table scaled(const float* values, float scale) {
  const __m256i weights = round_to_bf16(_mm512_mul_ps(_mm512_loadu_ps(values), _mm512_set1_ps(scale)));
  return join(weights, weights);
}

[[gnu::always_inline]] inline Table scaled(const float* values, float scale, float minimum) {
  const __m512 products = _mm512_mul_ps(_mm512_loadu_ps(values), _mm512_set1_ps(scale));
  const __m256i weights = round_to_bf16(_mm512_add_ps(products, _mm512_set1_ps(minimum)));
  return join(weights, weights);
}

[[gnu::always_inline]] inline __m128i load_codes(const std::byte* codes) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
}

[[gnu::always_inline]] inline void expand_pairs(const std::byte* codes, const Table& table, Bf16Bits* out) {
  const __m512i pairs = _mm512_cvtepu8_epi32(load_codes(codes));
  const __m512i places = _mm512_or_si512(_mm512_srli_epi32(pairs, 4), _mm512_slli_epi32(pairs, 16));
  _mm512_storeu_si512(out, _mm512_permutexvar_epi16(places, table));
}

// The first 16 weights have the low halves.
[[gnu::always_inline]] inline __m512i halves(const std::byte* codes) {
  const __m256i pairs = _mm256_cvtepu8_epi16(load_codes(codes));
  return join(pairs, _mm256_srli_epi16(pairs, 4));
}

[[gnu::always_inline]] inline void expand_halves(const std::byte* codes, const Table& table, Bf16Bits* out) {
  _mm512_storeu_si512(out, _mm512_permutexvar_epi16(halves(codes), table));
}

[[gnu::always_inline]] inline void expand_fifth(const std::byte* codes, std::uint32_t fifth,
                                                const Table& clear, const Table& set, Bf16Bits* out) {
  const __m512i table = _mm512_inserti64x4(clear, _mm512_castsi512_si256(set), 1);
  const __m512i low = _mm512_and_si512(halves(codes), _mm512_set1_epi16(15));
  const __m512i places = _mm512_mask_add_epi16(low, fifth, low, _mm512_set1_epi16(16));
  _mm512_storeu_si512(out, _mm512_permutexvar_epi16(places, table));
}

inline Bf16Bits look_up(const Table& table, unsigned code) {
  std::array<Bf16Bits, 32> weights;
  _mm512_storeu_si512(weights.data(), table);
  return weights[code];
}

[[gnu::always_inline]] inline __m512 scaled_bytes(const void* codes, float scale) {
  const __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(codes));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)), _mm512_set1_ps(scale));
}

[[gnu::always_inline]] inline void store_rounded(__m512 weights, Bf16Bits* out) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), round_to_bf16(weights));
}

[[gnu::always_inline]] inline void scale_bytes(const std::byte* codes, float scale, Bf16Bits* out) {
  for (int i = 0; i < 32; i += 16) store_rounded(scaled_bytes(codes + i, scale), out + i);
}

struct VectorHalf {
  [[gnu::always_inline]] static void write(const std::int8_t* codes, float scale, Bf16Bits* out) {
    store_rounded(scaled_bytes(codes, scale), out);
  }
  [[gnu::always_inline]] static void write(const std::int8_t* codes, float scale, float minimum,
                                           Bf16Bits* out) {
    store_rounded(_mm512_sub_ps(scaled_bytes(codes, scale), _mm512_set1_ps(minimum)), out);
  }
};

}  // namespace
}  // namespace graft

#include "kernels/cpu/block_decode_vector.h"

namespace graft {

const BlockDecode block_tables::kAvx512 = kTable;

}  // namespace graft
