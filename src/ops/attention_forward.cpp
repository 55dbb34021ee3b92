#include <ATen/ATen.h>

#include <limits>

#include "ops/attention_blocks.h"

namespace graft {
namespace {

template <class Types>
struct ForwardPacks {
  PackedBlocks<typename Types::Operand> keys;    // transposed: right operands [E,keys]
  PackedBlocks<typename Types::Operand> values;  // right operands [keys,E]

  explicit ForwardPacks(const AttentionProblem& problem) : keys(problem), values(problem) {
    using Storage = typename Types::Storage;
    for_each_key_block(problem, [&](const AttentionSegment& segment, std::int64_t head, std::int64_t b) {
      const auto count = std::min(kKeyRows, segment.keys - b * kKeyRows);
      const BlockShape shape{segment.key_rows(b), keys.width};
      const auto first = segment.key_start + b * kKeyRows;
      Types::rows().pack_transposed(head_rows<const Storage>(problem.k, head, first, count), shape,
                                    keys.block(segment, head, b));
      Types::rows().pack(head_rows<const Storage>(problem.v, head, first, count), shape,
                         values.block(segment, head, b));
    });
  }
};

struct QueryBlock {
  const AttentionSegment* segment;
  std::int64_t first;  // query
  KeyBlocks keys;
};

/// All query blocks, those with most keys first, so that the threads end together.
std::vector<QueryBlock> query_blocks(const AttentionProblem& problem) {
  std::vector<QueryBlock> blocks;
  for (const auto& segment : problem.segments)
    for (std::int64_t first = 0; first < segment.queries; first += kQueryRows)
      blocks.push_back({&segment, first,
                        visible_keys(segment, first, std::min(first + kQueryRows, segment.queries),
                                     problem.options.window)});
  const auto cost = [](const QueryBlock& block) { return block.keys.end - block.keys.begin; };
  std::stable_sort(blocks.begin(), blocks.end(),
                   [&](const QueryBlock& a, const QueryBlock& b) { return cost(a) > cost(b); });
  return blocks;
}

/// One thread's work: query blocks of one head, against the keys that they see.
template <class Types>
class ForwardWorker {
  using Storage = typename Types::Storage;
  using Operand = typename Types::Operand;
  using Real = typename Types::Real;

 public:
  ForwardWorker(const AttentionProblem& problem, const ForwardPacks<Types>& packs,
                const AttentionResult& result)
      : problem_(problem),
        packs_(packs),
        result_(result),
        width_(packs.keys.width),
        queries_(kQueryRows * width_),
        products_(kQueryRows * kKeyRows),
        probabilities_(kQueryRows * kKeyRows),
        out_(kQueryRows * width_),
        max_(kQueryRows),
        sum_(kQueryRows * kBlockStep),
        lse_(kQueryRows),
        inverse_(kQueryRows) {}

  void run(const QueryBlock& block, std::int64_t head) {
    const auto& segment = *block.segment;
    const auto count = std::min(kQueryRows, segment.queries - block.first);
    const auto rows = padded(count), first_token = segment.query_start + block.first;
    Types::rows().load(head_rows<const Storage>(problem_.q, head, first_token, count), {rows, width_},
                       queries_.data());
    std::fill_n(max_.data(), rows, -std::numeric_limits<Real>::infinity());
    std::fill_n(sum_.data(), rows * kBlockStep, Real{0});
    for (auto b = block.keys.begin; b < block.keys.end; ++b) add_keys(block, head, rows, b);
    Types::rows().finish(rows, {max_.data(), sum_.data(), nullptr, 0}, lse_.data(), inverse_.data());
    Types::rows().store(out_.data(), width_, inverse_.data(),
                        head_rows<Storage>(result_.out, head, first_token, count));
    std::copy_n(lse_.data(), count,
                static_cast<Real*>(result_.lse.data_ptr()) + head * result_.lse.size(1) + first_token);
  }

 private:
  void add_keys(const QueryBlock& block, std::int64_t head, std::int64_t rows, std::int64_t b) {
    const auto& segment = *block.segment;
    const auto kv_head = head / (problem_.heads() / problem_.kv_heads());
    const auto key_rows = segment.key_rows(b);
    const auto* keys = packs_.keys.block(segment, kv_head, b);
    const auto* values = packs_.values.block(segment, kv_head, b);
    ScoreBlock scores{{rows, key_rows},
                      segment.offset() + block.first - b * kKeyRows,
                      problem_.options.window,
                      problem_.options.scale,
                      problem_.options.softcap};
    const bool first_keys = b == block.keys.begin;
    for (const auto& tile : tiles_of(scores)) {
      auto* out = out_.data() + tile.row * width_;
      multiply({tile.rows, tile.columns, width_, width_, key_rows, tile.columns},
               queries_.data() + tile.row * width_, keys, products_.data(), Sum::kSet);
      auto tile_scores = scores;
      tile_scores.shape = {tile.rows, tile.columns};
      tile_scores.diagonal += tile.row;
      const SoftmaxRows<Real> state{max_.data() + tile.row, sum_.data() + tile.row * kBlockStep, out,
                                    first_keys ? 0 : width_};
      Types::rows().softmax(tile_scores, products_.data(), state, probabilities_.data());
      multiply({tile.rows, width_, tile.columns, tile.columns, width_, width_}, probabilities_.data(), values,
               out, first_keys ? Sum::kSet : Sum::kAdd);
    }
  }

  const AttentionProblem& problem_;
  const ForwardPacks<Types>& packs_;
  const AttentionResult& result_;
  std::int64_t width_;
  Numbers<Operand> queries_;        // [rows,E]
  Numbers<Real> products_;          // [rows,keys]
  Numbers<Operand> probabilities_;  // [rows,keys]
  Numbers<Real> out_;               // [rows,E]
  Numbers<Real> max_, sum_, lse_, inverse_;
};

template <class Types>
AttentionResult run_forward(const AttentionProblem& problem) {
  const auto real = at::CppTypeToScalarType<typename Types::Real>::value;
  const AttentionResult result{
      at::empty(problem.q.sizes(), problem.q.options()),
      at::empty({problem.heads(), problem.q.size(0)}, problem.q.options().dtype(real))};
  const ForwardPacks<Types> packs(problem);
  const auto blocks = query_blocks(problem);
  const auto heads = problem.heads();
  for_each_unit(static_cast<std::int64_t>(blocks.size()) * heads, [&] {
    return [&, worker = ForwardWorker<Types>(problem, packs, result)](std::int64_t unit) mutable {
      worker.run(blocks[unit / heads], unit % heads);
    };
  });
  return result;
}

}  // namespace

AttentionResult attention_forward(const AttentionProblem& problem) {
  return with_attention_types(problem.q.scalar_type(),
                              [&](auto types) { return run_forward<decltype(types)>(problem); });
}

}  // namespace graft
