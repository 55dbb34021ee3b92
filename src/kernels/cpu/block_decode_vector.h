#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/block_decode.h"

/// The vector form of block_decode.cpp, included by one file per instruction set, which defines before:
/// Table, the 16 bf16 that 4-bit codes of one block stand for; Table scaled(values, scale), values[i] *
/// scale; Table scaled(values, scale, minimum), that + minimum; and from 16 bytes of codes to 32 weights
/// expand_pairs (NF4's order), expand_halves (GGUF's order), expand_fifth (with a table for each fifth bit);
/// look_up, one weight; scale_bytes, 32 signed bytes; VectorHalf, what PlainHalf is in k_blocks.h.
///
/// A block of 4 or 5-bit codes has only 16 or 32 different weights: they are computed and rounded once for
/// the block, and the codes look them up, which also gives the scalar loop's bits.
namespace graft {
namespace {

constexpr std::int64_t kRun = 32;  // weights of one step, and of a GGUF block

constexpr std::array<float, 16> counting_from(float first) {
  std::array<float, 16> values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = first + static_cast<float>(i);
  return values;
}
constexpr auto kFrom0 = counting_from(0), kFrom16 = counting_from(16), kFromMinus8 = counting_from(-8),
               kFromMinus16 = counting_from(-16);

constexpr std::array<float, 16> iq4_floats() {
  std::array<float, 16> values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(kIq4Values[i]);
  return values;
}
constexpr auto kIq4Floats = iq4_floats();

float scale_at(const std::byte* from) { return _cvtsh_ss(read_at<std::uint16_t>(from)); }

void decode_q4_0(const std::byte* block, std::int64_t count, Bf16Bits* out) {
  for (; count > 0; count -= kRun, block += 18, out += kRun)
    expand_halves(block + 2, scaled(kFromMinus8.data(), scale_at(block)), out);
}

void decode_q4_1(const std::byte* block, std::int64_t count, Bf16Bits* out) {
  for (; count > 0; count -= kRun, block += 20, out += kRun)
    expand_halves(block + 4, scaled(kFrom0.data(), scale_at(block), scale_at(block + 2)), out);
}

void decode_q5_0(const std::byte* block, std::int64_t count, Bf16Bits* out) {
  for (; count > 0; count -= kRun, block += 22, out += kRun) {
    const float d = scale_at(block);
    expand_fifth(block + 6, read_at<std::uint32_t>(block + 2), scaled(kFromMinus16.data(), d),
                 scaled(kFrom0.data(), d), out);
  }
}

void decode_q5_1(const std::byte* block, std::int64_t count, Bf16Bits* out) {
  for (; count > 0; count -= kRun, block += 24, out += kRun) {
    const float d = scale_at(block), m = scale_at(block + 2);
    expand_fifth(block + 8, read_at<std::uint32_t>(block + 4), scaled(kFrom0.data(), d, m),
                 scaled(kFrom16.data(), d, m), out);
  }
}

void decode_q8_0(const std::byte* block, std::int64_t count, Bf16Bits* out) {
  for (; count > 0; count -= kRun, block += 34, out += kRun) scale_bytes(block + 2, scale_at(block), out);
}

void decode_iq4_nl(const std::byte* block, std::int64_t count, Bf16Bits* out) {
  for (; count > 0; count -= kRun, block += 18, out += kRun)
    expand_halves(block + 2, scaled(kIq4Floats.data(), scale_at(block)), out);
}

// A group has only 16 different weights.
void decode_iq4_xs(const std::byte* blocks, std::int64_t first, std::int64_t count, Bf16Bits* out) {
  for (const std::int64_t end = first + count; first < end;) {
    const Iq4Xs block{blocks + first / kKBlock * Iq4Xs::kBytes};
    const std::int64_t last = std::min(end, (first / kKBlock + 1) * kKBlock);
    for (; first < last; first += kRun, out += kRun) {
      const int group = static_cast<int>(first % kKBlock / kRun);
      expand_halves(block.block + 8 + group * 16, scaled(kIq4Floats.data(), block.scale(2 * group)), out);
    }
  }
}

// Runs of blocks of 32 weights.
template <std::int64_t bytes, void (*decode)(const std::byte*, std::int64_t, Bf16Bits*)>
void decode_from(const std::byte* blocks, std::int64_t first, std::int64_t count, Bf16Bits* out) {
  decode(blocks + first / kRun * bytes, count, out);
}

// Weights first … last - 1, all of one block.
Bf16Bits* decode_nf4_block(const std::byte* codes, std::int64_t first, std::int64_t last, const Table& table,
                           Bf16Bits* out) {
  const auto code = [&](std::int64_t i) {
    return std::to_integer<unsigned>(codes[i / 2]) >> (i % 2 == 0 ? 4 : 0) & 15U;
  };
  if (first % 2 != 0 && first < last) *out++ = look_up(table, code(first++));
  for (; first + kRun <= last; first += kRun, out += kRun) expand_pairs(codes + first / 2, table, out);
  for (; first < last; ++first) *out++ = look_up(table, code(first));
  return out;
}

void decode_nf4_run(const Nf4View& weights, std::int64_t first, std::int64_t count, Bf16Bits* out) {
  if (count == 0) return;
  Nf4Scales scales(weights, first / weights.block);
  std::int64_t block_end = (first / weights.block + 1) * weights.block;
  for (const std::int64_t end = first + count; first < end; block_end += weights.block) {
    const std::int64_t last = std::min(end, block_end);
    out = decode_nf4_block(weights.codes, first, last, scaled(kNf4Values.data(), scales.next()), out);
    first = last;
  }
}

constexpr BlockDecode kTable = {.q4_0 = decode_from<18, decode_q4_0>,
                                .q4_1 = decode_from<20, decode_q4_1>,
                                .q5_0 = decode_from<22, decode_q5_0>,
                                .q5_1 = decode_from<24, decode_q5_1>,
                                .q8_0 = decode_from<34, decode_q8_0>,
                                .q2_k = decode_k_blocks<Q2K, VectorHalf>,
                                .q3_k = decode_k_blocks<Q3K, VectorHalf>,
                                .q4_k = decode_k_blocks<Q4K, VectorHalf>,
                                .q5_k = decode_k_blocks<Q5K, VectorHalf>,
                                .q6_k = decode_k_blocks<Q6K, VectorHalf>,
                                .q8_k = decode_k_blocks<Q8K, VectorHalf>,
                                .iq4_nl = decode_from<18, decode_iq4_nl>,
                                .iq4_xs = decode_iq4_xs,
                                .nf4 = decode_nf4_run};

}  // namespace
}  // namespace graft
