#pragma once

#include <bit>
#include <cstdint>

namespace graft {

using Bf16Bits = std::uint16_t;  ///< a bfloat16 as it lies in memory

// Inline, so that loops over them become vector code.

/// The value of a bfloat16.
inline float f32_of_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// Nearest bfloat16, ties to even; NaN stays NaN.
inline std::uint16_t bf16_of_f32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  // Rounding could carry a NaN's payload into infinity: its top half is kept and made quiet.
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/// The value of an IEEE half, denormals, inf and NaN included.
inline float f32_of_f16(std::uint16_t bits) {
  // Branch-free, so that loops over it become vector code. The exponent moves up by 127 - 15; once more for
  // inf and NaN; a denormal m * 2^-24 is (2^-14 + m * 2^-24) - 2^-14.
  constexpr std::uint32_t kExponent = 0x0F800000U, kRebias = 112U << 23;
  constexpr float kSmallestNormal = 0x1p-14F;
  const std::uint32_t shifted = (bits & 0x7FFFU) << 13;
  const std::uint32_t exponent = shifted & kExponent;
  const std::uint32_t normal = shifted + kRebias + (exponent == kExponent ? kRebias : 0U);
  const float denormal = std::bit_cast<float>(shifted + kRebias + (1U << 23)) - kSmallestNormal;
  const std::uint32_t magnitude = exponent == 0 ? std::bit_cast<std::uint32_t>(denormal) : normal;
  return std::bit_cast<float>(magnitude | ((bits & 0x8000U) << 16));
}

/// Nearest IEEE half, ties to even; what is too large becomes inf; NaN stays NaN.
inline std::uint16_t f16_of_f32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  std::uint32_t half;
  if (magnitude > 0x7F800000U) {  // NaN: quiet, with the top of its payload
    half = 0x7E00U | ((magnitude >> 13) & 0x1FFU);
  } else if (magnitude >= 0x47800000U) {  // 65536 and more, inf
    half = 0x7C00U;
  } else if (magnitude <
             0x38800000U) {  // below 2^-14: the addition rounds to the spacing of denormals, 2^-24
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) -
           std::bit_cast<std::uint32_t>(0.5F);
  } else {
    half = (magnitude - (112U << 23) + 0xFFFU + ((magnitude >> 13) & 1U)) >> 13;
  }
  return static_cast<std::uint16_t>(sign | half);
}

}  // namespace graft
