#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/attention_rows.h"
#include "kernels/cpu/lanes.h"

/// What attention needs of vectors beyond lanes.h: numbers as bare bits, reductions, exponentials,
/// transposes.
namespace graft {
namespace {

template <class Vector>
[[gnu::always_inline]] inline Vector read(const void* from) {
  return read<Vector>(from, AllLanes{});
}
template <class Vector>
[[gnu::always_inline]] inline void write(void* to, const Vector& value) {
  write(to, value, AllLanes{});
}

[[gnu::always_inline]] inline Words bf16_words(Floats x) { return bf16_bits(x) >> 16; }

[[gnu::always_inline]] inline Floats get(const float* from) { return get(from, AllLanes{}); }
[[gnu::always_inline]] inline Floats get(const Bf16Bits* from) {
  return get(reinterpret_cast<const Bf16*>(from), AllLanes{});
}
[[gnu::always_inline]] inline void put(float* to, Floats x) { put(to, x, AllLanes{}); }
[[gnu::always_inline]] inline void put(Bf16Bits* to, Floats x) {
  put(reinterpret_cast<Bf16*>(to), x, AllLanes{});
}

/// The first `count` of the lanes; the others are 0 (get) or left alone (put).
template <class T>
inline Floats get_some(const T* from, std::int64_t count) {
  T some[kLanes] = {};
  __builtin_memcpy(some, from, static_cast<std::size_t>(count) * sizeof(T));
  return get(some);
}
template <class T>
inline void put_some(T* to, Floats x, std::int64_t count) {
  T some[kLanes];
  put(some, x);
  __builtin_memcpy(to, some, static_cast<std::size_t>(count) * sizeof(T));
}

inline bool any_above(Floats x, float bound) {
#ifdef __AVX512F__
  return _mm512_cmp_ps_mask((__m512)x, (__m512)splat(bound), _CMP_NLE_UQ) != 0;
#else
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)x, (__m256)splat(bound), _CMP_NLE_UQ)) != 0;
#endif
}

inline float largest_of(Floats x) {
  for (int step = kLanes / 2; step > 0; step /= 2) {
    const Floats other = exchanged(x, step);
    x = x <= other ? other : x;
  }
  return x[0];
}
/// 2^x, relative error about 1e-7; 0 below -127. x at most 127; a NaN stays one. The polynomial is the
/// minimax fit of 2^f on [-1/2, 1/2] with value 1 at 0.
[[gnu::always_inline]] inline Floats exp2(Floats x) {
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, left in the low bits
  x = x < -127.0F ? splat(-127.0F) : x;
  const Floats shifted = x + kRounder;
  const Floats f = x - (shifted - kRounder);
  const Floats p =
      ((((f * 0.00132647272F + 0.00967151269F) * f + 0.0555073374F) * f + 0.240222421F) * f + 0.693146978F) *
          f +
      1.0F;
  return (Floats)((Ints)p + ((Ints)shifted << 23));
}

/// tanh(x), absolute error about 1e-7.
[[gnu::always_inline]] inline Floats tanh(Floats x) {
  Floats power = x * 2.885390082F;  // 2 log2(e)
  power = power > 60.0F ? splat(60.0F) : power;
  return 1.0F - 2.0F / (exp2(power) + 1.0F);
}

[[gnu::always_inline]] inline void interleave(Words a, Words b, Words& low, Words& high) {
#ifdef __AVX512F__
  low = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  high = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#else
  low = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  high = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#endif
}

/// Two rows of 2 kLanes halves -> the halves of both in turn.
[[gnu::always_inline]] inline void interleave_halves(const void* even, const void* odd, void* to) {
#ifdef __AVX512BW__
  const auto a = read<__m512i>(even), b = read<__m512i>(odd);
  const __m512i low = _mm512_unpacklo_epi16(a, b), high = _mm512_unpackhi_epi16(a, b);
  const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11),
                second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
  write(to, _mm512_permutex2var_epi64(low, first, high));
  write(static_cast<char*>(to) + sizeof low, _mm512_permutex2var_epi64(low, second, high));
#else
  const auto a = read<__m256i>(even), b = read<__m256i>(odd);
  const __m256i low = _mm256_unpacklo_epi16(a, b), high = _mm256_unpackhi_epi16(a, b);
  write(to, _mm256_permute2x128_si256(low, high, 0x20));
  write(static_cast<char*>(to) + sizeof low, _mm256_permute2x128_si256(low, high, 0x31));
#endif
}

/// Transposes a square of kLanes rows: each round interleaves row i with row i + kLanes/2.
[[gnu::always_inline]] inline void transpose_square(Words (&rows)[kLanes]) {
  for (std::int64_t round = 1; round < kLanes; round *= 2) {
    Words next[kLanes];
    for (std::int64_t i = 0; i < kLanes / 2; ++i)
      interleave(rows[i], rows[i + kLanes / 2], next[2 * i], next[2 * i + 1]);
    for (std::int64_t i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
}

}  // namespace
}  // namespace graft
