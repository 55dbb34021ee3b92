#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/half.h"

/// Encoding to GGUF's K-quants. Plain loops under the same rules as block_encode_loops.h, which includes
/// this.
///
/// Each run of weights (half a group or a whole one) gets the scale, or scale and shift, of least weighted
/// squares among some candidates for how far apart its codes lie; the scales of a block are then rounded to
/// multiples of the block's own, neighbours of each are tried, and the block's own is fitted once more to the
/// codes that came out. Candidates lie side by side ("lanes"), so that sums stay in order while the compiler
/// makes vector code.
namespace graft {
namespace {

constexpr int kWeights = 256;  // of a block
constexpr int kLanes = 24;     // candidates
constexpr float kLaneStep = 0.1F;

/// The code 0 … top nearest to `place`; 0 for NaN. Clamped first: larger numbers have no int.
[[gnu::always_inline]] inline float code_at(float place, float top) {
  place = place > 0 ? place : 0.0F;
  place = place < top ? place : top;
  return static_cast<float>(static_cast<std::int32_t>(place + 0.5F));
}

/// How weights are made of codes: scale * code - shift.
struct Fit {
  float scale = 0, shift = 0;
};

/// A block on its way: runs with their fits in multiples of the block's own.
template <int kRuns>
struct Block {
  static constexpr int kCount = kWeights / kRuns;
  float importance[kWeights];
  Fit own;  // exact fp16 numbers
  float scales[kRuns], shifts[kRuns];
  float codes[kWeights];  // 0 … top
  float error;

  [[gnu::always_inline]] Fit fit(int run) const { return {own.scale * scales[run], own.shift * shifts[run]}; }
};

inline float as_half(float value) { return f32_of_f16(f16_of_f32(value)); }

/// Large weights count more than small ones, none counts nothing.
template <int kRuns>
void weigh(const float* x, Block<kRuns>& block) {
  constexpr int kCount = kWeights / kRuns;
  for (int run = 0; run < kRuns; ++run) {
    const float* from = x + run * kCount;
    float squares = 0;
    for (int i = 0; i < kCount; ++i) squares += from[i] * from[i];
    const float typical = __builtin_sqrtf(squares / static_cast<float>(kCount));
    for (int i = 0; i < kCount; ++i) block.importance[run * kCount + i] = typical + __builtin_fabsf(from[i]);
  }
}

/// Codes for the fits that the block has, codes lying `offset` above what they stand for, and their error.
template <int kRuns>
void take_codes(const float* x, float top, float offset, Block<kRuns>& block) {
  constexpr int kCount = kWeights / kRuns;
  block.error = 0;
  for (int run = 0; run < kRuns; ++run) {
    const Fit fit = block.fit(run);
    const float inverse = fit.scale != 0 ? 1.0F / fit.scale : 0.0F;
    for (int i = run * kCount; i < (run + 1) * kCount; ++i)
      block.codes[i] = code_at((x[i] + fit.shift) * inverse + offset, top);
    for (int i = run * kCount; i < (run + 1) * kCount; ++i) {
      const float off = fit.scale * (block.codes[i] - offset) - fit.shift - x[i];
      block.error += block.importance[i] * off * off;
    }
  }
}

/// Scale and shift >= 0 for codes 0 … top.
template <int kCount>
Fit fit_with_shift(const float* x, const float* importance, float top) {
  float low = 0, high = x[0], sum_w = 0, sum_x = 0, sum_xx = 0;
  for (int i = 0; i < kCount; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
    sum_w += importance[i], sum_x += importance[i] * x[i], sum_xx += importance[i] * x[i] * x[i];
  }
  const float range = high - low;
  if (!(range > 0)) return {0, -low};
  float per_unit[kLanes], sum_l[kLanes] = {}, sum_ll[kLanes] = {}, sum_lx[kLanes] = {};
  for (int c = 0; c < kLanes; ++c)
    per_unit[c] = (top + kLaneStep * static_cast<float>(c - kLanes / 2 + 1)) / range;
  for (int i = 0; i < kCount; ++i)
    for (int c = 0; c < kLanes; ++c) {
      const float code = code_at((x[i] - low) * per_unit[c], top), weighted = importance[i] * code;
      sum_l[c] += weighted, sum_ll[c] += weighted * code, sum_lx[c] += weighted * x[i];
    }
  Fit best{range / top, -low};
  float least = __FLT_MAX__;
  for (int c = 0; c < kLanes; ++c) {
    const float determinant = sum_w * sum_ll[c] - sum_l[c] * sum_l[c];
    if (!(determinant > 0)) continue;
    float scale = (sum_w * sum_lx[c] - sum_l[c] * sum_x) / determinant;
    float shift = (sum_l[c] * sum_lx[c] - sum_ll[c] * sum_x) / determinant;
    if (shift < 0) shift = 0, scale = sum_lx[c] / sum_ll[c];
    const float error = sum_xx + scale * scale * sum_ll[c] + shift * shift * sum_w -
                        2 * (scale * shift * sum_l[c] + scale * sum_lx[c] - shift * sum_x);
    if (error < least && scale > 0) least = error, best = {scale, shift};
  }
  return best;
}

/// Scale for codes -top … top - 1; negative where the largest weight is positive.
template <int kCount>
Fit fit_scale(const float* x, const float* importance, float top) {
  float largest = 0;
  for (int i = 0; i < kCount; ++i)
    largest = __builtin_fabsf(x[i]) > __builtin_fabsf(largest) ? x[i] : largest;
  if (!(__builtin_fabsf(largest) > 0)) return {};
  float per_unit[kLanes], sum_ll[kLanes] = {}, sum_lx[kLanes] = {};
  for (int c = 0; c < kLanes; ++c)
    per_unit[c] = -(top + kLaneStep * static_cast<float>(c - kLanes / 2 + 1)) / largest;
  for (int i = 0; i < kCount; ++i)
    for (int c = 0; c < kLanes; ++c) {
      const float code = code_at(x[i] * per_unit[c] + top, 2 * top - 1) - top,
                  weighted = importance[i] * code;
      sum_ll[c] += weighted * code, sum_lx[c] += weighted * x[i];
    }
  Fit best{-largest / top, 0};
  float most = 0;
  for (int c = 0; c < kLanes; ++c) {
    if (!(sum_ll[c] > 0)) continue;
    const float explained = sum_lx[c] * sum_lx[c] / sum_ll[c];
    if (explained > most) most = explained, best.scale = sum_lx[c] / sum_ll[c];
  }
  return best;
}

/// Tries neighbours of a run's rounded scale and shift. Lane c: scale + c % 4 - 1 … , shift + c / 4 - 2.
template <int kRuns, int kShifts>
void try_neighbours(const float* x, int run, float top, float offset, float lowest, float levels,
                    Block<kRuns>& block) {
  constexpr int kCount = kWeights / kRuns, kSteps = 4, kTried = kSteps * kShifts;
  float scales[kTried], shifts[kTried], scale[kTried], shift[kTried], inverse[kTried], error[kTried] = {};
  for (int c = 0; c < kTried; ++c) {
    const float step = static_cast<float>(c % kSteps - 1),
                other = static_cast<float>(c / kSteps - kShifts / 2);
    scales[c] = block.scales[run] + step, shifts[c] = block.shifts[run] + other;
    scales[c] = scales[c] < lowest ? lowest : scales[c] > levels ? levels : scales[c];
    shifts[c] = shifts[c] < 0 ? 0 : shifts[c] > levels ? levels : shifts[c];
    scale[c] = block.own.scale * scales[c], shift[c] = block.own.shift * shifts[c];
    inverse[c] = scale[c] != 0 ? 1.0F / scale[c] : 0.0F;
  }
  for (int i = run * kCount; i < (run + 1) * kCount; ++i)
    for (int c = 0; c < kTried; ++c) {
      const float code = code_at((x[i] + shift[c]) * inverse[c] + offset, top);
      const float off = scale[c] * (code - offset) - shift[c] - x[i];
      error[c] += block.importance[i] * off * off;
    }
  int best = kSteps * (kShifts / 2) + 1;  // as it is
  for (int c = 0; c < kTried; ++c) best = error[c] < error[best] ? c : best;
  block.scales[run] = scales[best], block.shifts[run] = shifts[best];
}

/// Fits the block's own scale and shift to its codes and keeps what came out where it is better.
template <int kRuns>
void fit_again(const float* x, float top, float offset, Block<kRuns>& block) {
  constexpr int kCount = kWeights / kRuns;
  float aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
  for (int run = 0; run < kRuns; ++run)
    for (int i = run * kCount; i < (run + 1) * kCount; ++i) {
      const float a = block.scales[run] * (block.codes[i] - offset), b = -block.shifts[run],
                  w = block.importance[i];
      aa += w * a * a, ab += w * a * b, bb += w * b * b, ax += w * a * x[i], bx += w * b * x[i];
    }
  const float determinant = aa * bb - ab * ab;
  Block<kRuns> other = block;
  if (determinant > 0)
    other.own = {as_half((bb * ax - ab * bx) / determinant), as_half((aa * bx - ab * ax) / determinant)};
  else if (aa > 0)
    other.own.scale = as_half(ax / aa);
  if (!(other.own.shift >= 0)) return;
  take_codes(x, top, offset, other);
  if (other.error < block.error) block = other;
}

/// `value` as a multiple of `own`, lowest … levels.
inline float multiple(float value, float own, float lowest, float levels) {
  return own != 0 ? code_at(value / own - lowest, levels - lowest) + lowest : 0.0F;
}

/// Weights as codes 0 … top, scales and shifts as 0 … levels.
template <int kRuns>
void fit_block_with_shifts(const float* x, float top, float levels, Block<kRuns>& block) {
  constexpr int kCount = kWeights / kRuns;
  weigh(x, block);
  Fit fits[kRuns], largest;
  for (int run = 0; run < kRuns; ++run) {
    const Fit fit = fit_with_shift<kCount>(x + run * kCount, block.importance + run * kCount, top);
    largest.scale = fit.scale > largest.scale ? fit.scale : largest.scale;
    largest.shift = fit.shift > largest.shift ? fit.shift : largest.shift;
    fits[run] = fit;
  }
  block.own = {as_half(largest.scale / levels), as_half(largest.shift / levels)};
  for (int run = 0; run < kRuns; ++run) {
    block.scales[run] = multiple(fits[run].scale, block.own.scale, 0, levels);
    block.shifts[run] = multiple(fits[run].shift, block.own.shift, 0, levels);
    try_neighbours<kRuns, 5>(x, run, top, 0, 0, levels, block);
  }
  take_codes(x, top, 0, block);
  fit_again(x, top, 0, block);
}

/// Weights as codes -top … top - 1 (stored from 0), scales as -levels … levels - 1.
template <int kRuns>
void fit_block(const float* x, float top, float levels, Block<kRuns>& block) {
  constexpr int kCount = kWeights / kRuns;
  for (int i = 0; i < kWeights; ++i) block.importance[i] = x[i] * x[i];
  float fits[kRuns], largest = 0;
  for (int run = 0; run < kRuns; ++run) {
    fits[run] = fit_scale<kCount>(x + run * kCount, block.importance + run * kCount, top).scale;
    largest = __builtin_fabsf(fits[run]) > __builtin_fabsf(largest) ? fits[run] : largest;
  }
  block.own = {as_half(-largest / levels), 0};
  for (int run = 0; run < kRuns; ++run) {
    block.scales[run] = multiple(fits[run], block.own.scale, -levels, levels - 1);
    block.shifts[run] = 0;
    try_neighbours<kRuns, 1>(x, run, 2 * top - 1, top, -levels, levels - 1, block);
  }
  take_codes(x, 2 * top - 1, top, block);
  fit_again(x, 2 * top - 1, top, block);
}

inline void put_half(std::byte* to, float value) {
  const std::uint16_t half = f16_of_f32(value);
  __builtin_memcpy(to, &half, sizeof half);
}
inline void add_bits(std::byte& to, int bits) { to = static_cast<std::byte>(static_cast<int>(to) | bits); }

/// 8 scales and 8 shifts of 6 bits in 12 bytes: the last four have their high bits above the others'.
inline void pack_k4_scales(const Block<8>& block, std::byte* to) {
  for (int j = 0; j < 8; ++j) {
    const int scale = static_cast<int>(block.scales[j]), shift = static_cast<int>(block.shifts[j]);
    if (j < 4) {
      add_bits(to[j], scale), add_bits(to[j + 4], shift);
    } else {
      add_bits(to[j + 4], (scale & 15) | ((shift & 15) << 4));
      add_bits(to[j - 4], scale >> 4 << 6), add_bits(to[j], shift >> 4 << 6);
    }
  }
}

/// d, dmin, scales and shifts [12], for 5 bits the fifth ones [32], low bits [128].
template <int kBits>
void encode_k4_block(const float* x, std::byte* to) {
  constexpr int kTop = (1 << kBits) - 1;
  Block<8> block;
  fit_block_with_shifts(x, kTop, 63, block);
  put_half(to, block.own.scale), put_half(to + 2, block.own.shift);
  pack_k4_scales(block, to + 4);
  std::byte* low = to + (kBits == 5 ? 48 : 16);
  for (int i = 0; i < kWeights; ++i) {
    const int code = static_cast<int>(block.codes[i]), group = i / 32;
    add_bits(low[group / 2 * 32 + i % 32], (code & 15) << (group % 2 * 4));
    if (kBits == 5) add_bits(to[16 + i % 32], code >> 4 << group);
  }
}

/// Scales and shifts of 4 bits [16], codes of 2 bits [64], d, dmin.
inline void encode_q2_k_block(const float* x, std::byte* to) {
  Block<16> block;
  fit_block_with_shifts(x, 3, 15, block);
  for (int j = 0; j < 16; ++j)
    add_bits(to[j], static_cast<int>(block.scales[j]) | (static_cast<int>(block.shifts[j]) << 4));
  for (int i = 0; i < kWeights; ++i)
    add_bits(to[16 + i / 128 * 32 + i % 32], static_cast<int>(block.codes[i]) << (i / 32 % 4 * 2));
  put_half(to + 80, block.own.scale), put_half(to + 82, block.own.shift);
}

/// Third bits [32], low bits [64], scales of 6 bits [12], d.
inline void encode_q3_k_block(const float* x, std::byte* to) {
  Block<16> block;
  fit_block(x, 4, 32, block);
  for (int i = 0; i < kWeights; ++i) {
    const int code = static_cast<int>(block.codes[i]);
    add_bits(to[i % 32], code >> 2 << (i / 32));
    add_bits(to[32 + i / 128 * 32 + i % 32], (code & 3) << (i / 32 % 4 * 2));
  }
  for (int j = 0; j < 16; ++j) {
    const int scale = static_cast<int>(block.scales[j]) + 32;
    add_bits(to[96 + j % 8], (scale & 15) << (j / 8 * 4));
    add_bits(to[104 + j % 4], scale >> 4 << (j / 4 * 2));
  }
  put_half(to + 108, block.own.scale);
}

/// Low 4 bits of the codes [128], high 2 bits [64], scales[16] of 8 bits, d.
inline void encode_q6_k_block(const float* x, std::byte* to) {
  Block<16> block;
  fit_block(x, 32, 128, block);
  for (int i = 0; i < kWeights; ++i) {
    const int code = static_cast<int>(block.codes[i]), part = i / 128, place = i / 32 % 4;
    add_bits(to[part * 64 + place % 2 * 32 + i % 32], (code & 15) << (place / 2 * 4));
    add_bits(to[128 + part * 32 + i % 32], code >> 4 << (place * 2));
  }
  for (int j = 0; j < 16; ++j)
    to[192 + j] = static_cast<std::byte>(static_cast<std::int8_t>(block.scales[j]));
  put_half(to + 208, block.own.scale);
}

template <void (*encode_block)(const float*, std::byte*), int kBytes>
void encode_k_blocks(std::span<const float> weights, std::byte* blocks) {
  const float* from = weights.data();
  for (std::size_t rest = weights.size(); rest >= kWeights;
       rest -= kWeights, from += kWeights, blocks += kBytes) {
    __builtin_memset(blocks, 0, kBytes);
    encode_block(from, blocks);
  }
}

}  // namespace
}  // namespace graft
