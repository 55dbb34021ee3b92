#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "kernels/cpu/attention_rows.h"
#include "ops/attention.h"
#include "ops/block_gemm.h"
#include "ops/units.h"

/// What the blocked forward and backward of attention share: how the work is cut, and K and V packed once.
namespace graft {

inline constexpr std::int64_t kQueryRows = 64;  ///< queries of a block
inline constexpr std::int64_t kKeyRows = 64;    ///< keys of a block
inline constexpr std::int64_t kStripRows =
    32;  ///< a block on the diagonal is cut into strips of so many queries

/// One sequence: its queries are the last of its keys' positions.
struct AttentionSegment {
  std::int64_t query_start = 0, queries = 0;
  std::int64_t key_start = 0, keys = 0;
  std::int64_t packed_start = 0;  ///< rows of packed K and V before it

  std::int64_t offset() const { return keys - queries; }
  std::int64_t query_blocks() const { return (queries + kQueryRows - 1) / kQueryRows; }
  std::int64_t key_blocks() const { return (keys + kKeyRows - 1) / kKeyRows; }
  /// Padded rows of key block b.
  std::int64_t key_rows(std::int64_t b) const { return std::min(kKeyRows, padded(keys - b * kKeyRows)); }
};

/// q [T,H,E], k and v [S,K,E] with rows of E adjacent numbers.
struct AttentionProblem {
  at::Tensor q, k, v;
  std::vector<AttentionSegment> segments;
  AttentionOptions options;

  std::int64_t heads() const { return q.size(1); }
  std::int64_t kv_heads() const { return k.size(1); }
  std::int64_t width() const { return q.size(2); }
  std::int64_t packed_rows() const;  ///< rows of packed K or V, of one kv head
};

struct AttentionResult {
  at::Tensor out;  ///< [T,H,E] of q's type
  at::Tensor lse;  ///< [H,T] log2 of the sum of exp(score); fp64 for fp64, else fp32
};
AttentionResult attention_forward(const AttentionProblem& problem);

/// The same for few queries: reads K and V as they lie, where packing them would cost more than it saves.
/// Probabilities stay in fp32. Only `out`.
at::Tensor attention_of_few(const AttentionProblem& problem);

struct AttentionGradients {
  at::Tensor dq, dk, dv;  ///< shapes and types of q, k, v
};
AttentionGradients attention_backward(const AttentionProblem& problem, const AttentionResult& result,
                                      const at::Tensor& dout);

/// Blocks of keys that queries [first, last) of a segment see: [begin, end).
struct KeyBlocks {
  std::int64_t begin, end;
};
KeyBlocks visible_keys(const AttentionSegment& segment, std::int64_t first, std::int64_t last,
                       std::int64_t window);

/// Rows of a query block against the first columns of a key block.
struct Tile {
  std::int64_t row, rows, columns;
};
/// The tiles that hold every visible pair of a block; block.shape is the whole block's.
struct Tiles {
  std::array<Tile, kQueryRows / kStripRows> tiles;
  std::int64_t count = 0;

  const Tile* begin() const { return tiles.data(); }
  const Tile* end() const { return tiles.data() + count; }
};
Tiles tiles_of(const ScoreBlock& block);

/// The rows of one head, from row `first` on.
template <class T>
RowView<T> head_rows(const at::Tensor& x, std::int64_t head, std::int64_t first, std::int64_t count) {
  using Plain = std::remove_const_t<T>;
  auto* data = static_cast<Plain*>(x.data_ptr());
  return {data + first * x.stride(0) + head * x.stride(1), x.stride(0), count, x.size(2)};
}

/// One combination of types; see AttentionRows.
template <class Storage_, class Operand_, class Real_>
struct AttentionTypes {
  using Storage = Storage_;
  using Operand = Operand_;
  using Real = Real_;
  static const AttentionRows<Storage, Operand, Real>& rows() {
    return attention_rows<Storage, Operand, Real>().front();
  }
};

/// Calls f with the AttentionTypes for tensors of this type on this machine.
template <class F>
auto with_attention_types(at::ScalarType type, const F& f) {
  if (type == at::kDouble) return f(AttentionTypes<double, double, double>());
  if (type == at::kFloat) return f(AttentionTypes<float, float, float>());
  if (multiplies_bf16()) return f(AttentionTypes<Bf16Bits, Bf16Bits, float>());
  return f(AttentionTypes<Bf16Bits, float, float>());
}

/// Blocks of every kv head in one form: block b of a segment lies at row packed_start + 64 b of its head.
template <class Operand>
struct PackedBlocks {
  Numbers<Operand> numbers;
  std::int64_t rows, width;  // of one head

  PackedBlocks(const AttentionProblem& problem)
      : numbers(problem.kv_heads() * problem.packed_rows() * padded(problem.width())),
        rows(problem.packed_rows()),
        width(padded(problem.width())) {}
  Operand* block(const AttentionSegment& segment, std::int64_t kv_head, std::int64_t b) const {
    return numbers.data() + (kv_head * rows + segment.packed_start + b * kKeyRows) * width;
  }
};

/// Calls f(segment, kv head, key block) for all of them, in parallel.
template <class F>
void for_each_key_block(const AttentionProblem& problem, const F& f) {
  std::vector<std::pair<const AttentionSegment*, std::int64_t>> blocks;
  for (const auto& segment : problem.segments)
    for (std::int64_t b = 0; b < segment.key_blocks(); ++b) blocks.emplace_back(&segment, b);
  const auto count = static_cast<std::int64_t>(blocks.size());
  at::parallel_for(0, count * problem.kv_heads(), 8, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = begin; i < end; ++i) f(*blocks[i % count].first, i / count, blocks[i % count].second);
  });
}

}  // namespace graft
