#include <immintrin.h>

#include "kernels/cpu/int8_rows_loops.h"

namespace graft {
namespace {

constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kRun = 4 * kLanes;  // codes that are stored together

// Lanes of 16 that are among the first `count` from lane `first` on.
inline __mmask16 lanes(std::int64_t count, std::int64_t first) {
  const std::int64_t there = smaller(kLanes, count - first);
  return static_cast<__mmask16>(there > 0 ? 0xFFFFU >> (kLanes - there) : 0U);
}

// 16 numbers as fp32, of which `count` are there; kRun and more: all, without a mask.
template <bool kFactors>
inline __m512 numbers(const Bf16* from, const float* factors, std::int64_t first, std::int64_t count) {
  if (count >= kRun) {
    const __m512i bits =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + first)));
    const __m512 values = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
    return kFactors ? _mm512_mul_ps(values, _mm512_loadu_ps(factors + first)) : values;
  }
  const __mmask16 mask = lanes(count, first);
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from + first));
  const __m512 values = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
  return kFactors ? _mm512_mul_ps(values, _mm512_maskz_loadu_ps(mask, factors + first)) : values;
}

inline const float* behind(const float* factors, std::int64_t i) {
  return factors == nullptr ? nullptr : factors + i;
}

// As scale_of: the largest magnitude as bits of fp32.
template <bool kFactors>
inline std::uint32_t largest_of(const Bf16* from, const float* factors, std::int64_t width) {
  const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF);
  __m512i largest[4] = {};
  for (std::int64_t i = 0; i < width; i += kRun)
    for (std::int64_t j = 0; j < 4; ++j) {
      const __m512 values = numbers<kFactors>(from + i, behind(factors, i), j * kLanes, width - i);
      largest[j] = _mm512_max_epu32(largest[j], _mm512_and_si512(_mm512_castps_si512(values), magnitude));
    }
  return static_cast<std::uint32_t>(_mm512_reduce_max_epu32(
      _mm512_max_epu32(_mm512_max_epu32(largest[0], largest[1]), _mm512_max_epu32(largest[2], largest[3]))));
}

template <bool kFactors>
inline __m512i run_of_codes(const Bf16* from, const float* factors, __m512 inverse, std::int64_t count) {
  __m512i codes[4];
  for (std::int64_t j = 0; j < 4; ++j)
    codes[j] =
        _mm512_cvtps_epi32(_mm512_mul_ps(numbers<kFactors>(from, factors, j * kLanes, count), inverse));
  // Packing interleaves the quarters of its operands; the permutation puts them in order.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i packed =
      _mm512_packs_epi16(_mm512_packs_epi32(codes[0], codes[1]), _mm512_packs_epi32(codes[2], codes[3]));
  return _mm512_xor_si512(_mm512_permutexvar_epi32(order, packed), _mm512_set1_epi8(-128));  // + 128
}

template <bool kFactors>
void quantize_left_row(const Bf16* from, const float* factors, std::int64_t width, std::uint8_t* to,
                       std::int64_t to_width, float* scale) {
  const auto largest = largest_of<kFactors>(from, factors, width);
  *scale = largest >= 0x7F800000U ? __builtin_nanf("") : float_of(largest) / kLargestCode;
  const float inverse = inverse_of(*scale);
  if (inverse == 0) {
    __builtin_memset(to, 128, static_cast<std::size_t>(to_width));
    return;
  }
  const __m512 inverses = _mm512_set1_ps(inverse);
  std::int64_t i = 0;
  for (; i + kRun <= width; i += kRun)
    _mm512_storeu_si512(to + i, run_of_codes<kFactors>(from + i, behind(factors, i), inverses, kRun));
  for (; i < to_width; i += kRun)
    _mm512_mask_storeu_epi8(to + i, ~std::uint64_t{0} >> (kRun - smaller(kRun, to_width - i)),
                            run_of_codes<kFactors>(from + i, behind(factors, i), inverses, width - i));
}

void quantize_left_in_runs(const RowView<const Bf16>& from, const float* factors,
                           const RowView<std::uint8_t>& to, float* scales) {
  const auto row = factors == nullptr ? quantize_left_row<false> : quantize_left_row<true>;
  for (std::int64_t i = 0; i < from.count; ++i)
    row(from.data + i * from.stride, factors, from.width, to.data + i * to.stride, to.width, scales + i);
}

constexpr Int8Rows with_runs() {
  Int8Rows table = kTable;
  table.quantize_left = quantize_left_in_runs;
  return table;
}

}  // namespace

const Int8Rows int8_tables::kAvx512 = with_runs();

}  // namespace graft
