#pragma once

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include <cstdint>

#include "kernels/cpu/row_kernels.h"

/// Vectors of fp32 as wide as the including file's instruction set has them, with GCC's vector types.
/// Internal linkage: files compiled for different instruction sets must not share functions.
namespace graft {
namespace {

#ifdef __AVX512F__
constexpr std::int64_t kLanes = 16;
#else
constexpr std::int64_t kLanes = 8;
#endif

using Floats [[gnu::vector_size(4 * kLanes)]] = float;
using Ints [[gnu::vector_size(4 * kLanes)]] = std::int32_t;
using Words [[gnu::vector_size(4 * kLanes)]] = std::uint32_t;
using Halves [[gnu::vector_size(2 * kLanes)]] = std::uint16_t;

/// How many lanes of a vector a step uses: all, or the last ones of a row.
struct AllLanes {};
struct SomeLanes {
  std::size_t count;
};

template <class Vector>
[[gnu::always_inline]] inline Vector read(const void* from, AllLanes) {
  Vector v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class Vector>
[[gnu::always_inline]] inline Vector read(const void* from, SomeLanes some) {
  Vector v{};
  __builtin_memcpy(&v, from, some.count * sizeof v[0]);
  return v;
}
template <class Vector>
[[gnu::always_inline]] inline void write(void* to, const Vector& v, AllLanes) {
  __builtin_memcpy(to, &v, sizeof v);
}
template <class Vector>
[[gnu::always_inline]] inline void write(void* to, const Vector& v, SomeLanes some) {
  __builtin_memcpy(to, &v, some.count * sizeof v[0]);
}

[[gnu::always_inline]] inline Floats splat(float x) { return Floats{} + x; }

/// Lanes that a step does not use are 0.
template <class Lanes>
[[gnu::always_inline]] inline Floats get(const float* from, Lanes lanes) {
  return read<Floats>(from, lanes);
}
template <class Lanes>
[[gnu::always_inline]] inline Floats get(const Bf16* from, Lanes lanes) {
  return (Floats)(__builtin_convertvector(read<Halves>(from, lanes), Words) << 16);
}

/// The bits of x rounded to bf16 (to nearest even, NaN kept), in the upper halves of the lanes.
/// The instruction takes denormals for 0.
[[gnu::always_inline]] inline Words bf16_bits(Floats x) {
#ifdef __AVX512BF16__
  return __builtin_convertvector((Halves)_mm512_cvtneps_pbh((__m512)x), Words) << 16;
#else
  const Words bits = (Words)x;
  const Words rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) & 0xffff0000U;
  return x == x ? rounded : Words{} + 0x7fc00000U;
#endif
}
template <class Lanes>
[[gnu::always_inline]] inline void put(float* to, Floats x, Lanes lanes) {
  write(to, x, lanes);
}
template <class Lanes>
[[gnu::always_inline]] inline void put(Bf16* to, Floats x, Lanes lanes) {
#ifdef __AVX512BF16__
  write(to, (Halves)_mm512_cvtneps_pbh((__m512)x), lanes);
#else
  write(to, __builtin_convertvector(bf16_bits(x) >> 16, Halves), lanes);
#endif
}

/// x rounded to T.
template <class T>
[[gnu::always_inline]] inline Floats round_to(Floats x) {
  if constexpr (sizeof(T) == 2) return (Floats)bf16_bits(x);
  return x;
}

/// step(i, lanes) over [0, count).
template <class Step>
[[gnu::always_inline]] inline void for_lanes(std::int64_t count, const Step& step) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) step(i, AllLanes{});
  if (i < count) step(i, SomeLanes{static_cast<std::size_t>(count - i)});
}

/// 0, 1, 2, …
[[gnu::always_inline]] inline Ints lane_numbers() {
  Ints lane;
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  return lane;
}
/// Lane i is lane i ^ step of x.
[[gnu::always_inline]] inline Floats exchanged(Floats x, int step) {
#ifdef __clang__  // shuffles by constants only
  Floats other;
  for (int i = 0; i < kLanes; ++i) other[i] = x[i ^ step];
  return other;
#else
  return __builtin_shuffle(x, lane_numbers() ^ step);
#endif
}
inline float sum_of(Floats x) {
  for (int step = kLanes / 2; step > 0; step /= 2) x += exchanged(x, step);
  return x[0];
}

/// Four partial sums in turn, so that an addition need not wait for the one before.
struct Sum {
  Floats part[4]{};
  [[gnu::always_inline]] void add(Floats x) {
    const Floats oldest = part[0] + x;
    part[0] = part[1], part[1] = part[2], part[2] = part[3], part[3] = oldest;
  }
  [[gnu::always_inline]] float total() const { return sum_of((part[0] + part[1]) + (part[2] + part[3])); }
};

/// e^x within about 1 ulp; 0 and infinity at the ends, NaN kept. The polynomial is the minimax fit of
/// (e^r - 1 - r) / r^2 on [-ln(2)/2, ln(2)/2].
[[gnu::always_inline]] inline Floats exp(Floats x) {
  constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, left in the low bits
  x = x < -104.0F ? splat(-104.0F) : x;
  x = x > 89.0F ? splat(89.0F) : x;
  const Floats shifted = x * 1.44269504F + kRounder;
  const Floats n = shifted - kRounder;
  const Floats r =
      (x - n * 0.693359375F) + n * 2.12194440e-4F;  // ln 2 in two parts: n times the first is exact
  const Floats q =
      (((0.00138145383F * r + 0.00836874545F) * r + 0.041668389F) * r + 0.166665211F) * r + 0.49999994F;
  const Floats p = (q * (r * r) + r) + 1.0F;
  // 2^n as the product of two powers: n reaches from the denormals to infinity.
  const Ints exponent = (Ints)shifted - (Ints)splat(kRounder), half = exponent >> 1;
  return p * (Floats)((half + 127) << 23) * (Floats)((exponent - half + 127) << 23);
}

[[gnu::always_inline]] inline Floats sigmoid(Floats x) { return 1.0F / (1.0F + exp(-x)); }

}  // namespace
}  // namespace graft
