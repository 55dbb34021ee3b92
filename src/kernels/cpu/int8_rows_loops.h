#pragma once

#include "kernels/cpu/int8_rows.h"

/// Plain loops, compiled once per instruction set: the compiler makes vector code of them. No function of the
/// standard library that might not be inlined is called: files compiled for different instruction sets must
/// not share one.
namespace graft {
namespace {

constexpr float kLargestCode = 127.0F;
constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, left in the low bits
constexpr std::int64_t kStretch = 256;   // numbers of a row that are fp32 at a time

inline std::uint32_t bits_of(float x) { return __builtin_bit_cast(std::uint32_t, x); }
inline float float_of(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// How a row is read: numbers [first, first + count) of it as fp32.
struct FloatRow {
  const float* data;
  void read(std::int64_t first, std::int64_t count, float* to) const {
    __builtin_memcpy(to, data + first, static_cast<std::size_t>(count) * sizeof(float));
  }
};
struct Bf16Row {
  const Bf16* data;
  const float* factors;
  void read(std::int64_t first, std::int64_t count, float* to) const {
    const Bf16* from = data + first;
    for (std::int64_t i = 0; i < count; ++i) to[i] = float_of(static_cast<std::uint32_t>(from[i].bits) << 16);
    if (factors == nullptr) return;
    for (std::int64_t i = 0; i < count; ++i) to[i] *= factors[first + i];
  }
};

// As integers, magnitudes have the same order, and what is not finite is above all that is.
inline std::uint32_t largest_magnitude(const float* values, std::int64_t count, std::uint32_t largest) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t magnitude = bits_of(values[i]) & 0x7FFFFFFFU;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

template <class Row>
inline float scale_of(const Row& row, std::int64_t width) {
  float values[kStretch];
  std::uint32_t largest = 0;
  for (std::int64_t first = 0; first < width; first += kStretch) {
    const auto count = smaller(kStretch, width - first);
    row.read(first, count, values);
    largest = largest_magnitude(values, count, largest);
  }
  return largest >= 0x7F800000U ? __builtin_nanf("") : float_of(largest) / kLargestCode;
}

// 0 where every code is 0: of a row of zeros or of numbers whose scale has no inverse, and of one not finite.
inline float inverse_of(float scale) {
  const float inverse = 1.0F / scale;
  return bits_of(inverse) < 0x7F800000U ? inverse : 0.0F;
}

template <class Row, class Code>
inline void quantize_row(const Row& row, std::int64_t width, std::int32_t zero, Code* to,
                         std::int64_t to_width, float* scale) {
  *scale = scale_of(row, width);
  const float inverse = inverse_of(*scale);
  float values[kStretch];
  for (std::int64_t first = 0; first < width; first += kStretch) {
    const auto count = smaller(kStretch, width - first);
    if (inverse == 0)
      __builtin_memset(values, 0, sizeof values);
    else
      row.read(first, count, values);
    Code* codes = to + first;
    for (std::int64_t i = 0; i < count; ++i) {
      const float rounded = values[i] * inverse + kRounder;
      codes[i] = static_cast<Code>(static_cast<std::int32_t>(bits_of(rounded) - bits_of(kRounder)) + zero);
    }
  }
  for (std::int64_t i = width; i < to_width; ++i) to[i] = static_cast<Code>(zero);
}

void quantize_left_rows(const RowView<const Bf16>& from, const float* factors,
                        const RowView<std::uint8_t>& to, float* scales) {
  for (std::int64_t i = 0; i < from.count; ++i)
    quantize_row(Bf16Row{from.data + i * from.stride, factors}, from.width, 128, to.data + i * to.stride,
                 to.width, scales + i);
}

void quantize_right_rows(const RowView<const float>& from, const RowView<std::int8_t>& to, float* scales) {
  for (std::int64_t i = 0; i < from.count; ++i)
    quantize_row(FloatRow{from.data + i * from.stride}, from.width, 0, to.data + i * to.stride, to.width,
                 scales + i);
}

void pack_panel(const RowView<const std::int8_t>& from, const Int8Panel& to) {
  for (std::int64_t depth = 0; depth < to.depth; depth += 4) {
    std::int8_t* codes = to.codes + depth * to.width;
    for (std::int64_t i = 0; i < from.count; ++i)
      __builtin_memcpy(codes + 4 * i, from.data + i * from.stride + depth, 4);
    __builtin_memset(codes + 4 * from.count, 0, static_cast<std::size_t>(4 * (to.width - from.count)));
  }
}

// Four columns of four codes.
typedef std::int8_t Square __attribute__((vector_size(16)));

inline Square transposed(Square s) {
  return __builtin_shufflevector(s, s, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

void turn_panel(const Int8Panel& from, const Int8Panel& to) {
  for (std::int64_t row = 0; row < to.depth; row += 4) {
    std::int8_t* codes = to.codes + row * to.width;
    for (std::int64_t depth = 0; depth < from.depth; depth += 4) {
      Square square;
      __builtin_memcpy(&square, from.codes + depth * from.width + 4 * row, sizeof square);
      square = transposed(square);
      __builtin_memcpy(codes + 4 * depth, &square, sizeof square);
    }
    __builtin_memset(codes + 4 * from.depth, 0, static_cast<std::size_t>(4 * (to.width - from.depth)));
  }
}

void offsets_of_panel(const Int8Panel& panel, std::int32_t* offsets) {
  for (std::int64_t i = 0; i < panel.width; ++i) offsets[i] = 0;
  for (std::int64_t row = 0; row < panel.depth; row += 4) {
    const std::int8_t* codes = panel.codes + row * panel.width;
    for (std::int64_t i = 0; i < panel.width; ++i) {
      std::int32_t word;
      __builtin_memcpy(&word, codes + 4 * i, sizeof word);
      const auto bits = static_cast<std::uint32_t>(word);
      offsets[i] += (static_cast<std::int32_t>(bits << 24) >> 24) +
                    (static_cast<std::int32_t>(bits << 16) >> 24) +
                    (static_cast<std::int32_t>(bits << 8) >> 24) + (word >> 24);
    }
  }
  for (std::int64_t i = 0; i < panel.width; ++i) offsets[i] *= 128;
}

inline float number_of(const Int8Tile& tile, const std::int32_t* sums, float row_scale, std::int64_t i) {
  return static_cast<float>(sums[i] - tile.offsets[i]) * (row_scale * tile.column_scales[i]);
}

void set_tile(const Int8Tile& tile, float* to, std::int64_t to_width) {
  for (std::int64_t row = 0; row < tile.rows; ++row) {
    const std::int32_t* sums = tile.sums + row * tile.width;
    const float scale = tile.row_scales[row];
    float* target = to + row * to_width;
    for (std::int64_t i = 0; i < tile.width; ++i) target[i] = number_of(tile, sums, scale, i);
  }
}

void add_tile(const Int8Tile& tile, float* to, std::int64_t to_width) {
  for (std::int64_t row = 0; row < tile.rows; ++row) {
    const std::int32_t* sums = tile.sums + row * tile.width;
    const float scale = tile.row_scales[row];
    float* target = to + row * to_width;
    for (std::int64_t i = 0; i < tile.width; ++i) target[i] += number_of(tile, sums, scale, i);
  }
}

constexpr Int8Rows kTable = {.quantize_left = quantize_left_rows,
                             .quantize_right = quantize_right_rows,
                             .pack = pack_panel,
                             .turn = turn_panel,
                             .offsets = offsets_of_panel,
                             .set = set_tile,
                             .add = add_tile};

}  // namespace
}  // namespace graft
