#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/cpu/attention_lanes.h"

/// AttentionRows with vectors; included by one file per instruction set (see attention_lanes.h).
namespace graft {
namespace {

constexpr float kLog2E = 1.44269504F;
constexpr float kMaxSlack = 8.0F;  // as in the scalar model

template <class Operand>
constexpr bool kPaired =
    std::is_same_v<Operand, Bf16Bits>;  // rows of a right operand are interleaved in pairs

template <class Storage>
[[gnu::always_inline]] inline Floats get_padded(const RowView<const Storage>& from, std::int64_t i,
                                                std::int64_t j) {
  if (i >= from.count || j >= from.width) return Floats{};
  const Storage* row = from.data + i * from.stride + j;
  return j + kLanes <= from.width ? get(row) : get_some(row, from.width - j);
}

template <class Storage, class Operand>
void load(const RowView<const Storage>& from, BlockShape shape, Operand* to) {
  for (std::int64_t i = 0; i < shape.rows; ++i) {
    Operand* row = to + i * shape.columns;
    if (std::is_same_v<Storage, Operand> && i < from.count && from.width == shape.columns)
      __builtin_memcpy(row, from.data + i * from.stride,
                       static_cast<std::size_t>(from.width) * sizeof(Operand));
    else
      for (std::int64_t j = 0; j < shape.columns; j += kLanes) put(row + j, get_padded(from, i, j));
  }
}

template <class Storage, class Operand>
void pack(const RowView<const Storage>& from, BlockShape shape, Operand* to) {
  if constexpr (!kPaired<Operand>) {
    load(from, shape, to);
  } else {
    for (std::int64_t i = 0; i < shape.rows; i += 2) {
      std::int64_t j = 0;
      if constexpr (kPaired<Storage>)
        for (; i + 1 < from.count && j + 2 * kLanes <= from.width; j += 2 * kLanes) {
          const Storage* row = from.data + i * from.stride + j;
          interleave_halves(row, row + from.stride, to + i * shape.columns + 2 * j);
        }
      for (; j < shape.columns; j += kLanes)
        write(to + i * shape.columns + 2 * j,
              ((Words)get_padded(from, i, j) >> 16) | (Words)get_padded(from, i + 1, j));
    }
  }
}

/// kLanes times 32 bits of row i from dword j on: one fp32, or a pair of bf16.
template <class Operand, class Storage>
[[gnu::always_inline]] inline Words dwords(const RowView<const Storage>& from, std::int64_t i,
                                           std::int64_t j) {
  if constexpr (!kPaired<Operand>) {
    return (Words)get_padded(from, i, j);
  } else {
    const auto count = std::clamp<std::int64_t>(from.width - 2 * j, 0, 2 * kLanes);
    if (i >= from.count) return Words{};
    if (count == 2 * kLanes) return read<Words>(from.data + i * from.stride + 2 * j);
    Words some = {};
    __builtin_memcpy(&some, from.data + i * from.stride + 2 * j, static_cast<std::size_t>(count) * 2);
    return some;
  }
}

template <class Storage, class Operand>
void pack_transposed(const RowView<const Storage>& from, BlockShape shape, Operand* to) {
  constexpr std::int64_t kPerDword = kPaired<Operand> ? 2 : 1;
  const auto width = shape.columns / kPerDword;
  for (std::int64_t i = 0; i < shape.rows; i += kLanes) {
    for (std::int64_t j = 0; j < width; j += kLanes) {
      Words square[kLanes];
      for (std::int64_t r = 0; r < kLanes; ++r) square[r] = dwords<Operand>(from, i + r, j);
      transpose_square(square);
      for (std::int64_t r = 0; r < std::min(kLanes, width - j); ++r)
        write(to + ((j + r) * shape.rows + i) * kPerDword, square[r]);
    }
  }
}

template <class Operand>
void transpose(const Operand* from, BlockShape shape, Operand* to) {
  const RowView<const Operand> view{from, shape.columns, shape.rows, shape.columns};
  if constexpr (!kPaired<Operand>) return pack_transposed(view, shape, to);
  for (std::int64_t i = 0; i < shape.rows; i += kLanes) {
    for (std::int64_t j = 0; j < shape.columns / 2; j += kLanes) {
      Words square[kLanes];
      for (std::int64_t r = 0; r < kLanes; ++r) square[r] = dwords<Operand>(view, i + r, j);
      transpose_square(square);
      for (std::int64_t r = 0; r < std::min(kLanes, shape.columns / 2 - j); ++r) {
        Operand* row = to + 2 * (j + r) * shape.rows + i;
        write(row, __builtin_convertvector(square[r] & 0xffffU, Halves));
        write(row + shape.rows, __builtin_convertvector(square[r] >> 16, Halves));
      }
    }
  }
}

/// Columns that a row sees: [begin, end).
struct Seen {
  std::int64_t begin, end;
};
inline Seen seen_of(const ScoreBlock& block, std::int64_t i) {
  const auto here = block.diagonal + i;  // the row's own column
  return {block.window == 0 ? 0 : std::max<std::int64_t>(0, here - block.window + 1),
          std::min(block.shape.columns, here + 1)};
}
inline bool all_seen(const ScoreBlock& block) {
  return seen_of(block, 0).end == block.shape.columns && seen_of(block, block.shape.rows - 1).begin == 0;
}
[[gnu::always_inline]] inline Ints seen_lanes(const Seen& seen, std::int64_t j) {
  const Ints lane = lane_numbers();
  return (lane >= Ints{} + static_cast<std::int32_t>(seen.begin - j)) &
         (lane < Ints{} + static_cast<std::int32_t>(seen.end - j));
}

/// What turns a product into t; see ScoreBlock.
struct ScoreFactors {
  float inner, outer;
  explicit ScoreFactors(const ScoreBlock& block)
      : inner(static_cast<float>(block.softcap == 0 ? block.scale : block.scale / block.softcap)),
        outer(static_cast<float>(block.softcap == 0 ? 1.0 : block.softcap) * kLog2E) {}
};

template <bool Masked, bool Capped, class Operand>
[[gnu::always_inline]] inline void softmax_row(const ScoreBlock& block, const ScoreFactors& factors,
                                               std::int64_t i, float* products,
                                               const SoftmaxRows<float>& state, Operand* probabilities) {
  const auto columns = block.shape.columns;
  const auto seen = seen_of(block, i);
  if (Masked && seen.begin >= seen.end) {
    for (std::int64_t j = 0; j < columns; j += kLanes) put(probabilities + j, Floats{});
    return;
  }
  const float scale = factors.inner * factors.outer;
  Floats largest = splat(-std::numeric_limits<float>::infinity());
  for (std::int64_t j = 0; j < columns; j += kLanes) {
    Floats t = get(products + j);
    if constexpr (Capped)
      t = tanh(t * factors.inner) * factors.outer;
    else
      t = t * scale;
    if constexpr (Masked) t = seen_lanes(seen, j) ? t : splat(-std::numeric_limits<float>::infinity());
    if constexpr (Masked || Capped) put(products + j, t);
    largest = t <= largest ? largest : t;
  }
  Floats sum = get(state.sum + i * kBlockStep);
  if (any_above(largest, state.max[i] + kMaxSlack)) [[unlikely]] {
    const float next = largest_of(largest);
    const Floats shrink = exp2(splat(state.max[i] - next));
    sum *= shrink;
    for (std::int64_t j = 0; j < state.out_columns; j += kLanes) {
      float* out = state.out + i * state.out_columns + j;
      put(out, get(out) * shrink);
    }
    state.max[i] = next;
  }
  const float offset = state.max[i];
  for (std::int64_t j = 0; j < columns; j += kLanes) {
    const Floats t = get(products + j);
    const Floats p = exp2(Masked || Capped ? t - offset : t * scale - offset);
    sum += p;
    put(probabilities + j, p);
  }
  put(state.sum + i * kBlockStep, sum);
}

template <bool Masked, bool Capped, class Operand>
void softmax_rows(const ScoreBlock& block, float* products, const SoftmaxRows<float>& state,
                  Operand* probabilities) {
  const ScoreFactors factors(block);
  const auto columns = block.shape.columns;
  for (std::int64_t i = 0; i < block.shape.rows; ++i)
    softmax_row<Masked, Capped>(block, factors, i, products + i * columns, state,
                                probabilities + i * columns);
}

template <class Operand>
void softmax(const ScoreBlock& block, float* products, const SoftmaxRows<float>& state,
             Operand* probabilities) {
  const bool capped = block.softcap != 0;
  const auto rows = all_seen(block)
                        ? capped ? softmax_rows<false, true, Operand> : softmax_rows<false, false, Operand>
                    : capped ? softmax_rows<true, true, Operand>
                             : softmax_rows<true, false, Operand>;
  rows(block, products, state, probabilities);
}

void finish(std::int64_t rows, const SoftmaxRows<float>& state, float* lse, float* inverse) {
  for (std::int64_t i = 0; i < rows; ++i) {
    Floats sum = {};
    for (std::int64_t j = 0; j < kBlockStep; j += kLanes) sum += get(state.sum + i * kBlockStep + j);
    const float total = sum_of(sum);
    lse[i] = state.max[i] + __builtin_log2f(total);
    inverse[i] = 1.0F / total;
  }
}

/// p and ds of kLanes pairs of one row.
struct PairGradient {
  Floats p, ds;
};
template <bool Masked, bool Capped>
[[gnu::always_inline]] inline PairGradient pair_gradient(const ScoreFactors& factors, const Seen& seen,
                                                         std::int64_t j, Floats product, Floats dp, float lse,
                                                         float delta) {
  PairGradient g;
  if constexpr (Capped) {
    const Floats bent = tanh(product * factors.inner);
    g.p = exp2(bent * factors.outer - lse);
    g.ds = g.p * (dp - delta) * (1.0F - bent * bent);
  } else {
    g.p = exp2(product * (factors.inner * factors.outer) - lse);
    g.ds = g.p * (dp - delta);
  }
  if constexpr (Masked) {
    const auto lanes = seen_lanes(seen, j);
    g.p = lanes ? g.p : Floats{};
    g.ds = lanes ? g.ds : Floats{};
  }
  return g;
}

template <bool Masked, bool Capped, class Operand>
void gradient_rows(const ScoreBlock& block, const float* products, const float* dp, const float* lse,
                   const float* delta, const GradientBlocks<Operand>& to) {
  constexpr std::int64_t kRows = kPaired<Operand> ? 2 : 1;
  const ScoreFactors factors(block);
  const auto columns = block.shape.columns;
  for (std::int64_t i = 0; i < block.shape.rows; i += kRows) {
    Seen seen[kRows];
    for (std::int64_t r = 0; r < kRows; ++r) seen[r] = seen_of(block, i + r);
    for (std::int64_t j = 0; j < columns; j += kLanes) {
      PairGradient g[kRows];
      for (std::int64_t r = 0; r < kRows; ++r) {
        const auto at = (i + r) * columns + j;
        g[r] = pair_gradient<Masked, Capped>(factors, seen[r], j, get(products + at), get(dp + at),
                                             lse[i + r], delta[i + r]);
        if (!kPaired<Operand> && to.dscores_left) put(to.dscores_left + at, g[r].ds);
      }
      if constexpr (kPaired<Operand>) {
        const auto at = i * columns + j;
        const Words ds0 = bf16_words(g[0].ds), ds1 = bf16_words(g[1].ds);
        write(to.probabilities + at + j, bf16_words(g[0].p) | (bf16_words(g[1].p) << 16));
        write(to.dscores_right + at + j, ds0 | (ds1 << 16));
        if (to.dscores_left) {
          write(to.dscores_left + at, __builtin_convertvector(ds0, Halves));
          write(to.dscores_left + at + columns, __builtin_convertvector(ds1, Halves));
        }
      } else {
        put(to.probabilities + i * columns + j, g[0].p);
        put(to.dscores_right + i * columns + j, g[0].ds);
      }
    }
  }
}

template <class Operand>
void gradient(const ScoreBlock& block, const float* products, const float* dp, const float* lse,
              const float* delta, const GradientBlocks<Operand>& to) {
  const bool capped = block.softcap != 0;
  const auto rows = all_seen(block)
                        ? capped ? gradient_rows<false, true, Operand> : gradient_rows<false, false, Operand>
                    : capped ? gradient_rows<true, true, Operand>
                             : gradient_rows<true, false, Operand>;
  rows(block, products, dp, lse, delta, to);
}

template <class Storage>
void row_dots(const RowView<const Storage>& a, const RowView<const Storage>& b, float* out) {
  for (std::int64_t i = 0; i < a.count; ++i) {
    Floats sum = {};
    for (std::int64_t j = 0; j < a.width; j += kLanes) sum += get_padded(a, i, j) * get_padded(b, i, j);
    out[i] = sum_of(sum);
  }
}

template <class Storage>
[[gnu::always_inline]] inline void put_inside(const RowView<Storage>& to, std::int64_t i, std::int64_t j,
                                              Floats x) {
  if (i >= to.count || j >= to.width) return;
  Storage* row = to.data + i * to.stride + j;
  if (j + kLanes <= to.width)
    put(row, x);
  else
    put_some(row, x, to.width - j);
}

template <class Storage>
void store(const float* from, std::int64_t columns, const float* factor, const RowView<Storage>& to) {
  for (std::int64_t i = 0; i < to.count; ++i)
    for (std::int64_t j = 0; j < to.width; j += kLanes)
      put_inside(to, i, j, get(from + i * columns + j) * factor[i]);
}

template <class Storage>
void store_transposed(const float* from, std::int64_t columns, float factor, const RowView<Storage>& to) {
  for (std::int64_t i = 0; i < to.count; i += kLanes) {
    for (std::int64_t j = 0; j < to.width; j += kLanes) {
      Words square[kLanes];
      for (std::int64_t r = 0; r < kLanes; ++r)
        square[r] = (Words)(get(from + (j + r) * columns + i) * factor);
      transpose_square(square);
      for (std::int64_t r = 0; r < kLanes; ++r) put_inside(to, i + r, j, (Floats)square[r]);
    }
  }
}

void add(float* to, const float* from, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) put(to + i, get(to + i) + get(from + i));
  for (; i < count; ++i) to[i] += from[i];
}

template <class Storage>
void dot_keys(const RowView<const Storage>& queries, const RowView<const Storage>& keys, std::int64_t columns,
              float* out) {
  for (std::int64_t j = 0; j < keys.count; ++j) {
    for (std::int64_t i = 0; i < queries.count; ++i) {
      Floats sum = {};
      for (std::int64_t e = 0; e < keys.width; e += kLanes)
        sum += get_padded(queries, i, e) * get_padded(keys, j, e);
      out[i * columns + j] = sum_of(sum);
    }
  }
  for (std::int64_t i = 0; i < queries.count; ++i)
    std::fill(out + i * columns + keys.count, out + (i + 1) * columns, 0.0F);
}

template <class Storage>
void weigh_values(const float* weights, BlockShape shape, const RowView<const Storage>& values, float* out) {
  constexpr std::int64_t kTogether = 4;  // rows of values between two looks at out
  const auto width = (values.width + kBlockStep - 1) / kBlockStep * kBlockStep;
  std::fill_n(out, shape.rows * width, 0.0F);
  for (std::int64_t first = 0; first < values.count; first += kTogether) {
    const auto last = std::min(first + kTogether, values.count);
    for (std::int64_t i = 0; i < shape.rows; ++i) {
      const float* weight = weights + i * shape.columns;
      for (std::int64_t e = 0; e < width; e += kLanes) {
        Floats sum = get(out + i * width + e);
        for (auto j = first; j < last; ++j) sum += get_padded(values, j, e) * weight[j];
        put(out + i * width + e, sum);
      }
    }
  }
}

template <class Storage, class Operand>
constexpr AttentionRows<Storage, Operand, float> vector_rows(std::string_view name) {
  return {.name = name,
          .load = load<Storage, Operand>,
          .pack = pack<Storage, Operand>,
          .pack_transposed = pack_transposed<Storage, Operand>,
          .transpose = transpose<Operand>,
          .softmax = softmax<Operand>,
          .finish = finish,
          .gradient = gradient<Operand>,
          .row_dots = row_dots<Storage>,
          .store = store<Storage>,
          .store_transposed = store_transposed<Storage>,
          .add = add,
          .dot_keys = dot_keys<Storage>,
          .weigh_values = weigh_values<Storage>};
}

}  // namespace
}  // namespace graft
