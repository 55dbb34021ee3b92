#pragma once

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/cpu/attention_rows.h"

/// AttentionRows in plain C++, for any types: the model that the vector paths are tested against.
namespace graft::scalar {

constexpr double kLog2E = 1.4426950408889634;
constexpr double kMaxSlack =
    8.0;  // the offset may lag the largest score by 2^8: fp32 and bf16 keep their precision

inline double real(Bf16Bits x) { return std::bit_cast<float>(std::uint32_t{x} << 16); }
inline double real(float x) { return x; }
inline double real(double x) { return x; }

template <class T>
T rounded(double x) {
  if constexpr (std::is_same_v<T, Bf16Bits>) {
    if (std::isnan(x)) return 0x7fc0;
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(x));
    return static_cast<Bf16Bits>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
  } else {
    return static_cast<T>(x);
  }
}

/// Where number (i,j) of a right operand with `columns` columns lies.
template <class Operand>
std::int64_t right_index(std::int64_t i, std::int64_t j, std::int64_t columns) {
  return std::is_same_v<Operand, Bf16Bits> ? (i / 2) * 2 * columns + 2 * j + i % 2 : i * columns + j;
}

template <class T>
double padded(const RowView<const T>& rows, std::int64_t i, std::int64_t j) {
  return i < rows.count && j < rows.width ? real(rows.data[i * rows.stride + j]) : 0.0;
}

inline bool sees(const ScoreBlock& block, std::int64_t i, std::int64_t j) {
  const auto distance = block.diagonal + i - j;
  return distance >= 0 && (block.window == 0 || distance < block.window);
}

/// t in units of log 2, and dt/ds without the factors scale and log2(e).
struct Score {
  double t, slope;
};
inline Score score(const ScoreBlock& block, double product) {
  if (block.softcap == 0) return {product * block.scale * kLog2E, 1.0};
  const double tanh = std::tanh(product * block.scale / block.softcap);
  return {block.softcap * tanh * kLog2E, 1.0 - tanh * tanh};
}

template <class Storage, class Operand>
void load(const RowView<const Storage>& from, BlockShape shape, Operand* to) {
  for (std::int64_t i = 0; i < shape.rows; ++i)
    for (std::int64_t j = 0; j < shape.columns; ++j)
      to[i * shape.columns + j] = rounded<Operand>(padded(from, i, j));
}

template <class Storage, class Operand>
void pack(const RowView<const Storage>& from, BlockShape shape, Operand* to) {
  for (std::int64_t i = 0; i < shape.rows; ++i)
    for (std::int64_t j = 0; j < shape.columns; ++j)
      to[right_index<Operand>(i, j, shape.columns)] = rounded<Operand>(padded(from, i, j));
}

template <class Storage, class Operand>
void pack_transposed(const RowView<const Storage>& from, BlockShape shape, Operand* to) {
  for (std::int64_t i = 0; i < shape.rows; ++i)
    for (std::int64_t j = 0; j < shape.columns; ++j)
      to[right_index<Operand>(j, i, shape.rows)] = rounded<Operand>(padded(from, i, j));
}

template <class Operand>
void transpose(const Operand* from, BlockShape shape, Operand* to) {
  for (std::int64_t i = 0; i < shape.rows; ++i)
    for (std::int64_t j = 0; j < shape.columns; ++j) to[j * shape.rows + i] = from[i * shape.columns + j];
}

template <class Operand, class Real>
void softmax(const ScoreBlock& block, Real* products, const SoftmaxRows<Real>& state,
             Operand* probabilities) {
  const auto columns = block.shape.columns;
  for (std::int64_t i = 0; i < block.shape.rows; ++i) {
    Real* t = products + i * columns;
    Real largest = -std::numeric_limits<Real>::infinity();
    for (std::int64_t j = 0; j < columns; ++j) {
      t[j] = sees(block, i, j) ? static_cast<Real>(score(block, t[j]).t)
                               : -std::numeric_limits<Real>::infinity();
      if (!(t[j] <= largest)) largest = t[j];
    }
    if (!(largest <= state.max[i] + static_cast<Real>(kMaxSlack))) {
      const Real shrink = std::exp2(state.max[i] - largest);
      for (std::int64_t j = 0; j < kBlockStep; ++j) state.sum[i * kBlockStep + j] *= shrink;
      for (std::int64_t j = 0; j < state.out_columns; ++j) state.out[i * state.out_columns + j] *= shrink;
      state.max[i] = largest;
    }
    for (std::int64_t j = 0; j < columns; ++j) {
      const Real p = sees(block, i, j) ? std::exp2(t[j] - state.max[i]) : Real{0};
      state.sum[i * kBlockStep + j % kBlockStep] += p;
      probabilities[i * columns + j] = rounded<Operand>(p);
    }
  }
}

template <class Real>
void finish(std::int64_t rows, const SoftmaxRows<Real>& state, Real* lse, Real* inverse) {
  for (std::int64_t i = 0; i < rows; ++i) {
    Real sum = 0;
    for (std::int64_t j = 0; j < kBlockStep; ++j) sum += state.sum[i * kBlockStep + j];
    lse[i] = state.max[i] + std::log2(sum);
    inverse[i] = Real{1} / sum;
  }
}

template <class Operand, class Real>
void gradient(const ScoreBlock& block, const Real* products, const Real* dp, const Real* lse,
              const Real* delta, const GradientBlocks<Operand>& to) {
  const auto columns = block.shape.columns;
  for (std::int64_t i = 0; i < block.shape.rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto at = i * columns + j;
      const auto [t, slope] = score(block, products[at]);
      const double p = sees(block, i, j) ? std::exp2(t - lse[i]) : 0.0;
      const double ds = sees(block, i, j) ? p * (dp[at] - delta[i]) * slope : 0.0;
      to.probabilities[right_index<Operand>(i, j, columns)] = rounded<Operand>(p);
      to.dscores_right[right_index<Operand>(i, j, columns)] = rounded<Operand>(ds);
      if (to.dscores_left) to.dscores_left[at] = rounded<Operand>(ds);
    }
  }
}

template <class Storage, class Real>
void row_dots(const RowView<const Storage>& a, const RowView<const Storage>& b, Real* out) {
  for (std::int64_t i = 0; i < a.count; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < a.width; ++j) sum += padded(a, i, j) * padded(b, i, j);
    out[i] = static_cast<Real>(sum);
  }
}

template <class Storage, class Real>
void store(const Real* from, std::int64_t columns, const Real* factor, const RowView<Storage>& to) {
  for (std::int64_t i = 0; i < to.count; ++i)
    for (std::int64_t j = 0; j < to.width; ++j)
      to.data[i * to.stride + j] = rounded<Storage>(from[i * columns + j] * factor[i]);
}

template <class Storage, class Real>
void store_transposed(const Real* from, std::int64_t columns, Real factor, const RowView<Storage>& to) {
  for (std::int64_t i = 0; i < to.count; ++i)
    for (std::int64_t j = 0; j < to.width; ++j)
      to.data[i * to.stride + j] = rounded<Storage>(from[j * columns + i] * factor);
}

template <class Real>
void add(Real* to, const Real* from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] += from[i];
}

template <class Storage, class Real>
void dot_keys(const RowView<const Storage>& queries, const RowView<const Storage>& keys, std::int64_t columns,
              Real* out) {
  for (std::int64_t i = 0; i < queries.count; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (std::int64_t e = 0; e < keys.width; ++e) sum += padded(queries, i, e) * padded(keys, j, e);
      out[i * columns + j] = static_cast<Real>(sum);
    }
  }
}

template <class Storage, class Real>
void weigh_values(const Real* weights, BlockShape shape, const RowView<const Storage>& values, Real* out) {
  const auto width = (values.width + kBlockStep - 1) / kBlockStep * kBlockStep;
  for (std::int64_t i = 0; i < shape.rows; ++i) {
    for (std::int64_t e = 0; e < width; ++e) {
      double sum = 0;
      for (std::int64_t j = 0; j < values.count; ++j)
        sum += weights[i * shape.columns + j] * padded(values, j, e);
      out[i * width + e] = static_cast<Real>(sum);
    }
  }
}

template <class Storage, class Operand, class Real>
constexpr AttentionRows<Storage, Operand, Real> rows() {
  return {.name = "scalar",
          .load = load<Storage, Operand>,
          .pack = pack<Storage, Operand>,
          .pack_transposed = pack_transposed<Storage, Operand>,
          .transpose = transpose<Operand>,
          .softmax = softmax<Operand, Real>,
          .finish = finish<Real>,
          .gradient = gradient<Operand, Real>,
          .row_dots = row_dots<Storage, Real>,
          .store = store<Storage, Real>,
          .store_transposed = store_transposed<Storage, Real>,
          .add = add<Real>,
          .dot_keys = dot_keys<Storage, Real>,
          .weigh_values = weigh_values<Storage, Real>};
}

}  // namespace graft::scalar
