#include "ops/cross_entropy_fused.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "kernels/cpu/attention_rows.h"
#include "ops/units.h"

namespace graft {
namespace {

constexpr std::int64_t kTileRows = 64;
constexpr std::int64_t kPanel = 64;                       // columns of a product at a time
constexpr std::int64_t kBlock = 256;                      // of the vocabulary: depth of the second product
constexpr std::int64_t kPackedNumbers = 4 * 1024 * 1024;  // of W at a time, in both forms: 8 MiB

const AttentionRows<Bf16Bits, Bf16Bits, float>& rows_kernels() {
  return attention_rows<Bf16Bits, Bf16Bits, float>().front();
}

/// Tokens [first, first + count) of the vocabulary; count is at most kBlock.
struct VocabularyBlock {
  std::int64_t first, count;
  std::int64_t columns() const { return padded(count); }
};

/// A stretch of the vocabulary, W's rows of it packed as right operands of both products.
class PackedVocabulary {
 public:
  explicit PackedVocabulary(const Matrix& w)
      : w_(w),
        width_(padded(w.columns)),
        blocks_(std::max<std::int64_t>(1, kPackedNumbers / (kBlock * (w.columns + width_)))),
        by_tokens_(blocks_ * kBlock * w.columns),
        by_width_(blocks_ * kBlock * width_) {}

  std::int64_t tokens() const { return blocks_ * kBlock; }
  const std::vector<VocabularyBlock>& blocks() const { return packed_; }

  void pack(std::int64_t first, bool both_forms) {
    packed_.clear();
    const auto last = std::min(first + tokens(), w_.rows);
    for (auto token = first; token < last; token += kBlock)
      packed_.push_back({token, std::min(kBlock, last - token)});
    const auto stretches = (last - first + kPanel - 1) / kPanel;
    for_each_unit(stretches, [&] {
      return [&, decoded = Numbers<Bf16Bits>(kPanel * w_.columns)](std::int64_t i) {
        pack_rows(first, i * kPanel, std::min(kPanel, last - first - i * kPanel), both_forms, decoded.data());
      };
    });
  }

  /// Right operand [D, 64 or what is left] of logits: tokens of block b from `column` on.
  const Bf16Bits* for_logits(std::size_t b, std::int64_t column) const { return logits_at(b, column); }
  /// Right operand [tokens of block b, 64 or what is left] of the gradient, from `column` on.
  const Bf16Bits* for_gradient(std::size_t b, std::int64_t column) const { return gradient_at(b, column); }

 private:
  Bf16Bits* logits_at(std::size_t b, std::int64_t column) const {
    return by_tokens_.data() + (static_cast<std::int64_t>(b) * kBlock + column) * w_.columns;
  }
  Bf16Bits* gradient_at(std::size_t b, std::int64_t column) const {
    return by_width_.data() + static_cast<std::int64_t>(b) * kBlock * width_ + packed_[b].columns() * column;
  }

  void pack_rows(std::int64_t start, std::int64_t at, std::int64_t count, bool both_forms,
                 Bf16Bits* decoded) {
    const auto rows = w_.read({start + at, count, 0, w_.columns}, decoded);
    const auto b = static_cast<std::size_t>(at / kBlock);
    const auto in_block = at % kBlock;
    rows_kernels().pack_transposed(rows, {padded(count), w_.columns}, logits_at(b, in_block));
    if (!both_forms) return;
    for (std::int64_t column = 0; column < width_; column += kPanel) {
      const auto columns = std::min(kPanel, w_.columns - column);
      const RowView<const Bf16Bits> part{rows.data + column, rows.stride, rows.count, columns};
      auto* to = gradient_at(b, column) + in_block * padded(columns);
      rows_kernels().pack(part, {padded(count), padded(columns)}, to);
    }
  }

  const Matrix& w_;
  std::int64_t width_, blocks_;
  Numbers<Bf16Bits> by_tokens_, by_width_;
  std::vector<VocabularyBlock> packed_;
};

/// The running softmax of all rows, and their sums of p_v W_v.
struct RowStates {
  std::int64_t width;             // of sums, padded
  Numbers<float> largest, total;  // see SoftmaxRows
  Numbers<float> target_logit, sums;

  RowStates(std::int64_t rows, std::int64_t width, bool differentiate)
      : width(width),
        largest(rows),
        total(rows * kBlockStep),
        target_logit(rows),
        sums(differentiate ? rows * width : 0) {
    std::fill_n(largest.data(), rows, -std::numeric_limits<float>::infinity());
    std::fill_n(total.data(), rows * kBlockStep, 0.0F);
  }
};

struct FusedLoss {
  const at::Tensor& hidden;
  const at::Tensor& targets;
  const Matrix& w;
  double softcap;
  bool differentiate;
  RowStates states;
};

/// Takes tiles of rows through packed blocks, on the calling thread.
class LossWorker {
 public:
  LossWorker(const FusedLoss& loss, const PackedVocabulary& packed)
      : loss_(loss),
        packed_(packed),
        left_(kTileRows * loss.w.columns),
        logits_(kTileRows * kBlock),
        probabilities_(kTileRows * kBlock) {}

  void run(std::int64_t first, std::int64_t last) {
    const auto depth = loss_.w.columns;
    const auto* left = static_cast<const Bf16Bits*>(loss_.hidden.const_data_ptr()) + first * depth;
    const auto count = last - first, rows = padded(count);
    if (rows != count) {
      rows_kernels().load({left, depth, count, depth}, {rows, depth}, left_.data());
      left = left_.data();
    }
    for (std::size_t b = 0; b < packed_.blocks().size(); ++b) {
      add_logits(b, left, rows);
      note_targets(packed_.blocks()[b], first, count);
      take_softmax(packed_.blocks()[b], first, rows);
      if (!loss_.differentiate) continue;
      if (loss_.softcap != 0) pass_cap(packed_.blocks()[b], rows);
      add_gradients(b, first, rows);
    }
  }

 private:
  void add_logits(std::size_t b, const Bf16Bits* left, std::int64_t rows) {
    const auto& block = packed_.blocks()[b];
    const auto columns = block.columns(), depth = loss_.w.columns;
    for (std::int64_t column = 0; column < columns; column += kPanel) {
      const auto width = std::min(kPanel, columns - column);
      multiply({rows, width, depth, depth, width, columns}, left, packed_.for_logits(b, column),
               logits_.data() + column, Sum::kSet);
    }
  }

  void note_targets(const VocabularyBlock& block, std::int64_t first, std::int64_t count) {
    const auto* targets = loss_.targets.const_data_ptr<std::int64_t>() + first;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto token = targets[i] - block.first;
      if (token >= 0 && token < block.count)
        loss_.states.target_logit.data()[first + i] = logits_.data()[i * block.columns() + token];
    }
  }

  void take_softmax(const VocabularyBlock& block, std::int64_t first, std::int64_t rows) {
    const auto& states = loss_.states;
    const auto columns = block.columns();
    // The first block's sums are set, not added to.
    const bool sums_exist = loss_.differentiate && block.first > 0;
    const auto take = [&](std::int64_t row, std::int64_t count, std::int64_t diagonal) {
      const auto at = first + row;
      rows_kernels().softmax({{count, columns}, diagonal, 0, /*scale=*/1, loss_.softcap},
                             logits_.data() + row * columns,
                             {states.largest.data() + at, states.total.data() + at * kBlockStep,
                              states.sums.data() + at * states.width, sums_exist ? states.width : 0},
                             probabilities_.data() + row * columns);
    };
    if (block.count == columns) return take(0, rows, columns);
    // Padding is no token: a row by itself sees the columns up to its diagonal.
    for (std::int64_t row = 0; row < rows; ++row) take(row, 1, block.count - 1);
  }

  /// p becomes p * (1 - tanh^2), the cap's derivative; softmax has left cap * tanh * log2(e) in the logits.
  void pass_cap(const VocabularyBlock& block, std::int64_t rows) {
    const auto columns = block.columns();
    const auto to_tanh = static_cast<float>(std::numbers::ln2 / loss_.softcap);
    auto* p = reinterpret_cast<at::BFloat16*>(probabilities_.data());
    for (std::int64_t row = 0; row < rows; ++row) {
      for (auto j = row * columns; j < row * columns + block.count; ++j) {
        const float tanh = logits_.data()[j] * to_tanh;
        p[j] = static_cast<float>(p[j]) * (1.0F - tanh * tanh);
      }
    }
  }

  void add_gradients(std::size_t b, std::int64_t first, std::int64_t rows) {
    const auto& block = packed_.blocks()[b];
    const auto width = loss_.states.width;
    float* sums = loss_.states.sums.data() + first * width;
    for (std::int64_t column = 0; column < width; column += kPanel) {
      const auto columns = std::min(kPanel, width - column);
      multiply({rows, columns, block.columns(), block.columns(), columns, width}, probabilities_.data(),
               packed_.for_gradient(b, column), sums + column, block.first == 0 ? Sum::kSet : Sum::kAdd);
    }
  }

  const FusedLoss& loss_;
  const PackedVocabulary& packed_;
  Numbers<Bf16Bits> left_;  // [rows,D] of a tile that does not fill a step
  Numbers<float> logits_;   // [rows, columns of a block]
  Numbers<Bf16Bits> probabilities_;
};

/// Cuts rows into tiles of whole steps, as many for every thread.
class RowTiles {
 public:
  explicit RowTiles(std::int64_t rows) : rows_(rows), steps_(padded(rows) / kBlockStep) {
    const std::int64_t threads = at::get_num_threads(), least = (rows + kTileRows - 1) / kTileRows;
    count_ = std::min(steps_, (least + threads - 1) / threads * threads);
  }
  std::int64_t count() const { return count_; }
  std::int64_t first(std::int64_t tile) const { return std::min(rows_, tile * steps_ / count_ * kBlockStep); }

 private:
  std::int64_t rows_, steps_, count_;
};

/// What the cap makes of a logit, and its derivative there.
struct Capped {
  double logit, slope;
};
Capped cap(double logit, double softcap) {
  if (softcap == 0) return {logit, 1.0};
  const double tanh = std::tanh(logit / softcap);
  return {softcap * tanh, 1.0 - tanh * tanh};
}

void finish_rows(const FusedLoss& loss, std::int64_t first, std::int64_t last, const LossAndGradient& to) {
  const auto& states = loss.states;
  const auto* targets = loss.targets.const_data_ptr<std::int64_t>();
  const auto depth = loss.w.columns;
  const Numbers<Bf16Bits> decoded(depth);
  for (auto row = first; row < last; ++row) {
    float lse = 0, inverse = 0;
    rows_kernels().finish(
        1, {states.largest.data() + row, states.total.data() + row * kBlockStep, nullptr, 0}, &lse, &inverse);
    const Capped target_logit = cap(states.target_logit.data()[row], loss.softcap);
    to.loss.mutable_data_ptr<float>()[row] =
        static_cast<float>(std::numbers::ln2 * static_cast<double>(lse) - target_logit.logit);
    if (!loss.differentiate) continue;
    const auto target = loss.w.read({targets[row], 1, 0, depth}, decoded.data());
    const float* sums = states.sums.data() + row * states.width;
    auto* gradient = to.gradient.mutable_data_ptr<at::BFloat16>() + row * depth;
    const auto* w = reinterpret_cast<const at::BFloat16*>(target.data);
    const auto slope = static_cast<float>(target_logit.slope);
    for (std::int64_t j = 0; j < depth; ++j)
      gradient[j] = sums[j] * inverse - slope * static_cast<float>(w[j]);
  }
}

}  // namespace

LossAndGradient fused_cross_entropy(const at::Tensor& hidden, const FrozenWeight& head,
                                    const at::Tensor& targets, double softcap, bool differentiate) {
  const auto rows = hidden.size(0);
  const Matrix w = head.matrix();
  const FusedLoss loss{hidden,  targets,       w,
                       softcap, differentiate, {padded(rows), padded(w.columns), differentiate}};
  const RowTiles tiles(rows);
  PackedVocabulary packed(w);
  for (std::int64_t first = 0; first < w.rows; first += packed.tokens()) {
    packed.pack(first, differentiate);
    for_each_unit(tiles.count(), [&] {
      return [&, worker = LossWorker(loss, packed)](std::int64_t tile) mutable {
        worker.run(tiles.first(tile), tiles.first(tile + 1));
      };
    });
  }
  const LossAndGradient result{at::empty({rows}, hidden.options().dtype(at::kFloat)),
                               differentiate ? at::empty_like(hidden) : at::Tensor()};
  at::parallel_for(0, rows, 16,
                   [&](std::int64_t first, std::int64_t last) { finish_rows(loss, first, last, result); });
  return result;
}

}  // namespace graft
