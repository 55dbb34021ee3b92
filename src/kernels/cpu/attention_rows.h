#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/cpu/row_view.h"
#include "kernels/half.h"

namespace graft {

/// Rows and columns of every block are padded with zeros to a multiple of this: one vector of 512 bits of
/// fp32.
inline constexpr std::int64_t kBlockStep = 16;

/// Size of a padded block: multiples of kBlockStep.
struct BlockShape {
  std::int64_t rows, columns;
};

/// A block of scores: rows are queries, columns keys. t = score in units of log 2: scale * s * log2(e), where
/// softcap is not 0: softcap * tanh(scale * s / softcap) * log2(e). Row i sees column j if 0 <= diagonal + i
/// - j, and diagonal + i - j < window where window is not 0.
struct ScoreBlock {
  BlockShape shape;
  std::int64_t diagonal;  ///< position of the first query minus position of the first key
  std::int64_t window;
  double scale, softcap;
};

/// Running softmax of the rows of a query block. Before the first key block: max = -infinity, sum = 0.
template <class Real>
struct SoftmaxRows {
  Real* max;  ///< [rows] offset of the exponents, in units of log 2; within 8 of the largest t seen or above
  Real* sum;  ///< [rows,kBlockStep] partial sums of exp2(t - max)
  Real* out;  ///< [rows,columns of out] weighted values so far; rescaled where max grows
  std::int64_t out_columns;
};

/// What the backward products read.
template <class Operand>
struct GradientBlocks {
  Operand* probabilities;  ///< right operand [queries,keys]
  Operand* dscores_right;  ///< the same layout; without the factor `scale`
  Operand* dscores_left;   ///< [rows,columns] as it stands; null: not wanted
};

/// The work of attention between its matrix products, for tensors of Storage, products of Operand and sums of
/// Real. A right operand [n,columns] of bf16 has its rows interleaved in pairs, number (i,j) at (i/2, 2j +
/// i%2), as bf16 dot-product instructions want it; of other types it is plain. Outputs of a padded shape are
/// written whole.
template <class Storage, class Operand, class Real>
struct AttentionRows {
  std::string_view name;
  /// from -> left operand [rows,columns]
  void (*load)(const RowView<const Storage>& from, BlockShape shape, Operand* to);
  /// from -> right operand [rows,columns]
  void (*pack)(const RowView<const Storage>& from, BlockShape shape, Operand* to);
  /// from -> right operand of the transpose: [shape.columns, shape.rows] where shape is that of the rows
  void (*pack_transposed)(const RowView<const Storage>& from, BlockShape shape, Operand* to);
  /// left operand [rows,columns] -> left operand [columns,rows]
  void (*transpose)(const Operand* from, BlockShape shape, Operand* to);
  /// One step of the running softmax: products [rows,columns] are overwritten (where softcap is not 0, by t),
  /// probabilities (left operand) written, 0 where unseen.
  void (*softmax)(const ScoreBlock& block, Real* products, const SoftmaxRows<Real>& state,
                  Operand* probabilities);
  /// After the last step: lse[i] = log2 of the whole sum, inverse[i] = 1 / sum.
  void (*finish)(std::int64_t rows, const SoftmaxRows<Real>& state, Real* lse, Real* inverse);
  /// p = exp2(t - lse), ds = p * (dp - delta) * dt/ds as GradientBlocks say; 0 where unseen. dp
  /// [rows,columns].
  void (*gradient)(const ScoreBlock& block, const Real* products, const Real* dp, const Real* lse,
                   const Real* delta, const GradientBlocks<Operand>& to);
  /// out[i] = a_i . b_i
  void (*row_dots)(const RowView<const Storage>& a, const RowView<const Storage>& b, Real* out);
  /// to_i = from_i * factor[i]; from [to.count, columns]
  void (*store)(const Real* from, std::int64_t columns, const Real* factor, const RowView<Storage>& to);
  /// to_i = column i of from * factor; from [to.width, columns]
  void (*store_transposed)(const Real* from, std::int64_t columns, Real factor, const RowView<Storage>& to);
  /// to += from
  void (*add)(Real* to, const Real* from, std::int64_t count);
  /// out[i,j] = query i . key j, for few queries; out [queries.count, columns], 0 from column keys.count on
  void (*dot_keys)(const RowView<const Storage>& queries, const RowView<const Storage>& keys,
                   std::int64_t columns, Real* out);
  /// out[i] = sum over j of weights[i,j] * value j; weights [rows, columns], out [rows, padded width]
  void (*weigh_values)(const Real* weights, BlockShape shape, const RowView<const Storage>& values,
                       Real* out);
};

/// The tables that this machine can run, the fastest first; the last is plain C++ and the model of the
/// others.
template <class Storage, class Operand, class Real>
std::span<const AttentionRows<Storage, Operand, Real>> attention_rows();

template <>
std::span<const AttentionRows<Bf16Bits, Bf16Bits, float>> attention_rows();
template <>
std::span<const AttentionRows<Bf16Bits, float, float>> attention_rows();
template <>
std::span<const AttentionRows<float, float, float>> attention_rows();
template <>
std::span<const AttentionRows<double, double, double>> attention_rows();

}  // namespace graft
