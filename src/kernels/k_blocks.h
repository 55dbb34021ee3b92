#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/half.h"

/// GGUF's blocks of 256 weights: the K-quants and IQ4_XS. Plain loops, compiled once per instruction set: the
/// compiler makes vector code of them. As files compiled for different instruction sets must not share a
/// function, everything is internal and nothing of the standard library is called.
///
/// A block is 8 groups of 32 weights, each group two halves with a scale of their own: weight = scale * code
/// - minimum, products and differences rounded one by one as the gguf package's numpy code does. A format
/// gives the scale and minimum of one of 16 halves, and the codes of a group. Source: ggml-common.h, gguf's
/// quants.py.
namespace graft {
namespace {

constexpr std::int64_t kKBlock = 256, kKGroup = 32, kKHalf = 16;

template <class Number>
[[gnu::always_inline]] inline Number read_at(const std::byte* from) {
  Number value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
[[gnu::always_inline]] inline int byte_at(const std::byte* from) { return static_cast<std::uint8_t>(*from); }
[[gnu::always_inline]] inline float half_at(const std::byte* from) {
  return f32_of_f16(read_at<std::uint16_t>(from));
}

// The same byte in all places of a word.
constexpr std::uint32_t each_byte(std::uint32_t byte) { return byte * 0x01010101U; }

// 32 codes, a byte each: words are shifted, and bits that came from a neighbour are masked off.
struct Codes {
  std::uint32_t words[8];

  [[gnu::always_inline]] static Codes at(const std::byte* from) {
    Codes codes;
    for (int i = 0; i < 8; ++i) codes.words[i] = read_at<std::uint32_t>(from + 4 * i);
    return codes;
  }
  [[gnu::always_inline]] Codes bits(int shift, std::uint32_t mask) const {
    Codes taken;
    for (int i = 0; i < 8; ++i) taken.words[i] = (words[i] >> shift) & each_byte(mask);
    return taken;
  }
  // Bit `bit` of each byte of `high`, moved up to `place`.
  [[gnu::always_inline]] Codes with(const Codes& high, unsigned place) const {
    Codes both;
    for (int i = 0; i < 8; ++i) both.words[i] = words[i] | (high.words[i] << place);
    return both;
  }
  template <int offset>
  [[gnu::always_inline]] void write(std::int8_t* codes) const {
    std::uint8_t bytes[kKGroup];
    __builtin_memcpy(bytes, words, sizeof bytes);
    for (int i = 0; i < kKGroup; ++i) codes[i] = static_cast<std::int8_t>(bytes[i] - offset);
  }
};

// Scales of 16 weights in 4 bits, minima in the other 4: scales[16], codes of 2 bits [64], d, dmin.
struct Q2K {
  static constexpr std::int64_t kBytes = 84;
  static constexpr bool kHasMinimum = true;
  const std::byte* block;
  float d = half_at(block + 80), dmin = half_at(block + 82);

  [[gnu::always_inline]] float scale(int half) const {
    return d * static_cast<float>(byte_at(block + half) & 15);
  }
  [[gnu::always_inline]] float minimum(int half) const {
    return dmin * static_cast<float>(byte_at(block + half) >> 4);
  }
  [[gnu::always_inline]] void codes(int group, std::int8_t* out) const {
    Codes::at(block + 16 + group / 4 * 32).bits(group % 4 * 2, 3).write<0>(out);
  }
};

// Codes of 2 bits and a third that is stored upside down: third bits [32], low bits [64], scales[12] of 6
// bits, d.
struct Q3K {
  static constexpr std::int64_t kBytes = 110;
  static constexpr bool kHasMinimum = false;
  const std::byte* block;
  float d = half_at(block + 108);

  [[gnu::always_inline]] float scale(int half) const {
    const int low = (byte_at(block + 96 + half % 8) >> (half / 8 * 4)) & 15;
    const int high = (byte_at(block + 104 + half % 4) >> (half / 4 * 2)) & 3;
    return d * static_cast<float>((low | (high << 4)) - 32);
  }
  [[gnu::always_inline]] void codes(int group, std::int8_t* out) const {
    const Codes third = Codes::at(block).bits(group, 1);
    Codes::at(block + 32 + group / 4 * 32).bits(group % 4 * 2, 3).with(third, 2).write<4>(out);
  }
};

// What Q4_K and Q5_K begin with: d, dmin, 8 scales and 8 minima of 6 bits in 12 bytes. Those of the last four
// groups have their high bits above the others'.
struct K4Scales {
  const std::byte* block;
  float d = half_at(block), dmin = half_at(block + 2);

  [[gnu::always_inline]] float scale(int half) const {
    const int group = half / 2, own = byte_at(block + 4 + group % 4), rest = byte_at(block + 12 + group % 4);
    return d * static_cast<float>(group < 4 ? own & 63 : (rest & 15) | ((own >> 2) & 48));
  }
  [[gnu::always_inline]] float minimum(int half) const {
    const int group = half / 2, own = byte_at(block + 8 + group % 4), rest = byte_at(block + 12 + group % 4);
    return dmin * static_cast<float>(group < 4 ? own & 63 : (rest >> 4) | ((own >> 2) & 48));
  }
};

// K4Scales, then codes of 4 bits [128].
struct Q4K : K4Scales {
  static constexpr std::int64_t kBytes = 144;
  static constexpr bool kHasMinimum = true;

  [[gnu::always_inline]] void codes(int group, std::int8_t* out) const {
    Codes::at(block + 16 + group / 2 * 32).bits(group % 2 * 4, 15).write<0>(out);
  }
};

// K4Scales, then fifth bits [32], low bits [128].
struct Q5K : K4Scales {
  static constexpr std::int64_t kBytes = 176;
  static constexpr bool kHasMinimum = true;

  [[gnu::always_inline]] void codes(int group, std::int8_t* out) const {
    const Codes fifth = Codes::at(block + 16).bits(group, 1);
    Codes::at(block + 48 + group / 2 * 32).bits(group % 2 * 4, 15).with(fifth, 4).write<0>(out);
  }
};

// Low 4 bits of the codes [128], high 2 bits [64], scales[16] of 8 bits, d.
struct Q6K {
  static constexpr std::int64_t kBytes = 210;
  static constexpr bool kHasMinimum = false;
  const std::byte* block;
  float d = half_at(block + 208);

  [[gnu::always_inline]] float scale(int half) const {
    return d * static_cast<float>(read_at<std::int8_t>(block + 192 + half));
  }
  [[gnu::always_inline]] void codes(int group, std::int8_t* out) const {
    const int part = group / 4, place = group % 4;
    const Codes high = Codes::at(block + 128 + part * 32).bits(place * 2, 3);
    Codes::at(block + part * 64 + place % 2 * 32).bits(place / 2 * 4, 15).with(high, 4).write<32>(out);
  }
};

// A float scale, signed bytes [256], sums of 16 of them each [32] that decoding has no use for.
struct Q8K {
  static constexpr std::int64_t kBytes = 292;
  static constexpr bool kHasMinimum = false;
  const std::byte* block;

  [[gnu::always_inline]] float scale(int) const { return read_at<float>(block); }
  [[gnu::always_inline]] void codes(int group, std::int8_t* out) const {
    __builtin_memcpy(out, block + 4 + group * 32, kKGroup);
  }
};

// The values that the codes of IQ4_NL and IQ4_XS stand for.
constexpr std::int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                        1,    13,   25,  38,  53,  69,  89,  113};

// d, high 2 bits of the scales [2], low 4 bits [4], per group 16 bytes of codes, whose low halves come first.
struct Iq4Xs {
  static constexpr std::int64_t kBytes = 136;
  static constexpr bool kHasMinimum = false;
  const std::byte* block;
  float d = half_at(block);

  [[gnu::always_inline]] float scale(int half) const {
    const int group = half / 2;
    const int low = (byte_at(block + 4 + group / 2) >> (group % 2 * 4)) & 15;
    const int high = (byte_at(block + 2 + group / 4) >> (group % 4 * 2)) & 3;
    return d * static_cast<float>((low | (high << 4)) - 32);
  }
  [[gnu::always_inline]] void codes(int group, std::int8_t* out) const {
    for (int i = 0; i < kKHalf; ++i) {
      const int pair = byte_at(block + 8 + group * 16 + i);
      out[i] = kIq4Values[pair & 15];
      out[kKHalf + i] = kIq4Values[pair >> 4];
    }
  }
};

/// How half a group is written: a Number each, through `convert`.
template <class Number, Number (*convert)(float)>
struct PlainHalf {
  [[gnu::always_inline]] static void write(const std::int8_t* codes, float scale, Number* out) {
    for (int i = 0; i < kKHalf; ++i) out[i] = convert(scale * static_cast<float>(codes[i]));
  }
  [[gnu::always_inline]] static void write(const std::int8_t* codes, float scale, float minimum,
                                           Number* out) {
    for (int i = 0; i < kKHalf; ++i) out[i] = convert(scale * static_cast<float>(codes[i]) - minimum);
  }
};

/// Writes weights first … first + count - 1 of a row of blocks. first, count: multiples of 32.
template <class Format, class Half, class Number>
void decode_k_blocks(const std::byte* blocks, std::int64_t first, std::int64_t count, Number* out) {
  const std::int64_t end = first + count;
  while (first < end) {
    const std::int64_t start = first / kKBlock * kKBlock;
    const std::int64_t last = end < start + kKBlock ? end : start + kKBlock;
    const Format block{blocks + start / kKBlock * Format::kBytes};
    for (; first < last; first += kKGroup, out += kKGroup) {
      const int group = static_cast<int>((first - start) / kKGroup);
      std::int8_t codes[kKGroup];
      block.codes(group, codes);
      for (int i = 0; i < 2; ++i) {
        const int half = 2 * group + i;
        if constexpr (Format::kHasMinimum)
          Half::write(codes + i * kKHalf, block.scale(half), block.minimum(half), out + i * kKHalf);
        else
          Half::write(codes + i * kKHalf, block.scale(half), out + i * kKHalf);
      }
    }
  }
}

}  // namespace
}  // namespace graft
