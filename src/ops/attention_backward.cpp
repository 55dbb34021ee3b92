#include <ATen/ATen.h>

#include <limits>
#include <numeric>

#include "ops/attention_blocks.h"

namespace graft {
namespace {

template <class Types>
struct BackwardPacks {
  PackedBlocks<typename Types::Operand> keys_transposed, values_transposed;  // right operands [E,keys]
  PackedBlocks<typename Types::Operand> keys;                                // right operands [keys,E]

  explicit BackwardPacks(const AttentionProblem& problem)
      : keys_transposed(problem), values_transposed(problem), keys(problem) {
    using Storage = typename Types::Storage;
    for_each_key_block(problem, [&](const AttentionSegment& segment, std::int64_t head, std::int64_t b) {
      const auto count = std::min(kKeyRows, segment.keys - b * kKeyRows);
      const BlockShape shape{segment.key_rows(b), keys.width};
      const auto first = segment.key_start + b * kKeyRows;
      const auto k = head_rows<const Storage>(problem.k, head, first, count);
      const auto v = head_rows<const Storage>(problem.v, head, first, count);
      Types::rows().pack_transposed(k, shape, keys_transposed.block(segment, head, b));
      Types::rows().pack_transposed(v, shape, values_transposed.block(segment, head, b));
      Types::rows().pack(k, shape, keys.block(segment, head, b));
    });
  }
};

/// Queries [first, last) of a segment, for one kv head: dK and dV from them are summed by one thread.
struct Chunk {
  std::int64_t segment, first, last;
  KeyBlocks keys;
  bool alone;  // the segment has no other chunk
  std::int64_t partial =
      0;  // where its sums lie among those of all chunks that are not alone, in rows of a kv head

  std::int64_t key_blocks() const { return keys.end - keys.begin; }
};

constexpr double kUnitsWanted = 16;      // enough for a few threads to end together
constexpr std::int64_t kChunksMost = 4;  // each costs fp32 sums of dK and dV

/// Chunks of all segments. A pure function of the pack, so that sums do not depend on the number of threads.
std::vector<Chunk> chunks_of(const AttentionProblem& problem) {
  const auto cost = [](const AttentionSegment& s) { return double(s.queries) * double(s.keys); };
  const auto total = std::accumulate(problem.segments.begin(), problem.segments.end(), 0.0,
                                     [&](double sum, const auto& s) { return sum + cost(s); });
  std::vector<Chunk> chunks;
  std::int64_t partial = 0;
  for (std::size_t i = 0; i < problem.segments.size(); ++i) {
    const auto& segment = problem.segments[i];
    const auto wanted =
        std::ceil(cost(segment) / total * kUnitsWanted / static_cast<double>(problem.kv_heads()));
    const auto count = std::clamp<std::int64_t>(
        std::llround(wanted), 1,
        std::min(kChunksMost, std::max<std::int64_t>(1, segment.query_blocks() / 4)));
    std::int64_t first = 0;
    for (std::int64_t c = 1; c <= count; ++c) {
      // Equal areas of the triangle, in whole blocks.
      const auto share = std::sqrt(static_cast<double>(c) / static_cast<double>(count));
      const auto end = std::llround(share * static_cast<double>(segment.query_blocks()));
      const auto last =
          c == count ? segment.queries : std::min<std::int64_t>(segment.queries, end * kQueryRows);
      Chunk chunk{static_cast<std::int64_t>(i),
                  first,
                  last,
                  visible_keys(segment, first, last, problem.options.window),
                  count == 1,
                  partial};
      if (!chunk.alone) partial += chunk.key_blocks() * kKeyRows;
      chunks.push_back(chunk);
      first = last;
    }
  }
  return chunks;
}

std::int64_t partial_rows(const std::vector<Chunk>& chunks) {
  std::int64_t rows = 0;
  for (const auto& chunk : chunks)
    if (!chunk.alone) rows += chunk.key_blocks() * kKeyRows;
  return rows;
}

std::int64_t widest_alone(const std::vector<Chunk>& chunks) {
  std::int64_t rows = 0;
  for (const auto& chunk : chunks)
    if (chunk.alone) rows = std::max(rows, chunk.key_blocks() * kKeyRows);
  return rows;
}

/// fp32 sums of dK and dV of a chunk: key block b, counted from the chunk's first, is [E,64] at 64 b E,
/// transposed.
template <class Real>
struct KeySums {
  Real *dk, *dv;
};

template <class Types>
struct BackwardTask {
  using Real = typename Types::Real;
  const AttentionProblem& problem;
  const AttentionResult& result;
  const at::Tensor& dout;
  const AttentionGradients& grads;
  BackwardPacks<Types> packs;
  std::vector<Chunk> chunks;
  std::int64_t rows;           // of one kv head's partial sums
  Numbers<Real> partial_sums;  // [K][dk, dv][rows,E]

  KeySums<Real> partial(const Chunk& chunk, std::int64_t kv_head) const {
    const auto width = packs.keys.width;
    auto* dk = partial_sums.data() + (2 * kv_head * rows + chunk.partial) * width;
    return {dk, dk + rows * width};
  }
};

/// One thread's work: chunks of one kv head.
template <class Types>
class BackwardWorker {
  using Storage = typename Types::Storage;
  using Operand = typename Types::Operand;
  using Real = typename Types::Real;

 public:
  explicit BackwardWorker(const BackwardTask<Types>& task)
      : task_(task),
        width_(task.packs.keys.width),
        queries_(kQueryRows * width_),
        douts_(kQueryRows * width_),
        queries_transposed_(kQueryRows * width_),
        douts_transposed_(kQueryRows * width_),
        products_(kQueryRows * kKeyRows),
        dprobabilities_(kQueryRows * kKeyRows),
        probabilities_(kQueryRows * kKeyRows),
        dscores_right_(kQueryRows * kKeyRows),
        dscores_left_(kQueryRows * kKeyRows),
        dq_(kQueryRows * width_),
        lse_(kQueryRows),
        delta_(kQueryRows),
        scale_(kQueryRows),
        sums_(2 * widest_alone(task.chunks) * width_) {
    std::fill_n(scale_.data(), kQueryRows, static_cast<Real>(task.problem.options.scale));
  }

  void run(const Chunk& chunk, std::int64_t kv_head) {
    const auto numbers = chunk.key_blocks() * kKeyRows * width_;
    const auto sums =
        chunk.alone ? KeySums<Real>{sums_.data(), sums_.data() + numbers} : task_.partial(chunk, kv_head);
    std::fill_n(sums.dk, numbers, Real{0});
    std::fill_n(sums.dv, numbers, Real{0});
    const auto group = task_.problem.heads() / task_.problem.kv_heads();
    for (auto head = kv_head * group; head < (kv_head + 1) * group; ++head)
      for (auto first = chunk.first; first < chunk.last; first += kQueryRows)
        add_queries(chunk, head, first, sums);
    if (!chunk.alone) return;
    for (auto b = chunk.keys.begin; b < chunk.keys.end; ++b) store_keys(task_, chunk, kv_head, b, sums);
  }

  static void store_keys(const BackwardTask<Types>& task, const Chunk& chunk, std::int64_t kv_head,
                         std::int64_t b, const KeySums<Real>& sums) {
    const auto& segment = task.problem.segments[chunk.segment];
    const auto count = std::min(kKeyRows, segment.keys - b * kKeyRows),
               first = segment.key_start + b * kKeyRows;
    const auto at = (b - chunk.keys.begin) * kKeyRows * task.packs.keys.width;
    const auto scale = static_cast<Real>(task.problem.options.scale);
    Types::rows().store_transposed(sums.dk + at, kKeyRows, scale,
                                   head_rows<Storage>(task.grads.dk, kv_head, first, count));
    Types::rows().store_transposed(sums.dv + at, kKeyRows, Real{1},
                                   head_rows<Storage>(task.grads.dv, kv_head, first, count));
  }

 private:
  void add_queries(const Chunk& chunk, std::int64_t head, std::int64_t first, const KeySums<Real>& sums) {
    const auto& segment = task_.problem.segments[chunk.segment];
    const auto last = std::min(first + kQueryRows, chunk.last), count = last - first;
    const auto token = segment.query_start + first;
    const BlockShape shape{padded(count), width_};
    load_queries(head, token, count, shape);
    const auto keys = visible_keys(segment, first, last, task_.problem.options.window);
    for (auto b = keys.begin; b < keys.end; ++b) {
      const auto at = (b - chunk.keys.begin) * kKeyRows * width_;
      const ScoreBlock scores{{shape.rows, segment.key_rows(b)},
                              segment.offset() + first - b * kKeyRows,
                              task_.problem.options.window,
                              task_.problem.options.scale,
                              task_.problem.options.softcap};
      const auto dq = b == keys.begin ? Sum::kSet : Sum::kAdd;
      for (const auto& tile : tiles_of(scores))
        add_tile(segment, head, b, scores, tile, dq, {sums.dk + at, sums.dv + at});
    }
    Types::rows().store(dq_.data(), width_, scale_.data(),
                        head_rows<Storage>(task_.grads.dq, head, token, count));
  }

  void load_queries(std::int64_t head, std::int64_t token, std::int64_t count, BlockShape shape) {
    const auto& rows = Types::rows();
    const auto dout = head_rows<const Storage>(task_.dout, head, token, count);
    rows.load(head_rows<const Storage>(task_.problem.q, head, token, count), shape, queries_.data());
    rows.load(dout, shape, douts_.data());
    rows.transpose(queries_.data(), shape, queries_transposed_.data());
    rows.transpose(douts_.data(), shape, douts_transposed_.data());
    rows.row_dots(dout, head_rows<const Storage>(task_.result.out, head, token, count), delta_.data());
    const auto& lse = task_.result.lse;
    std::copy_n(static_cast<const Real*>(lse.const_data_ptr()) + head * lse.size(1) + token, count,
                lse_.data());
    // Rows of padding: probability 0.
    std::fill(delta_.data() + count, delta_.data() + shape.rows, Real{0});
    std::fill(lse_.data() + count, lse_.data() + shape.rows, std::numeric_limits<Real>::infinity());
  }

  void add_tile(const AttentionSegment& segment, std::int64_t head, std::int64_t b, const ScoreBlock& scores,
                const Tile& tile, Sum dq, const KeySums<Real>& sums) {
    const auto kv_head = head / (task_.problem.heads() / task_.problem.kv_heads());
    const auto [query_rows, key_rows] = scores.shape;
    const auto left = tile.row * width_;
    const GemmShape by_keys{tile.rows, tile.columns, width_, width_, key_rows, tile.columns};
    multiply(by_keys, queries_.data() + left, task_.packs.keys_transposed.block(segment, kv_head, b),
             products_.data(), Sum::kSet);
    multiply(by_keys, douts_.data() + left, task_.packs.values_transposed.block(segment, kv_head, b),
             dprobabilities_.data(), Sum::kSet);
    auto tile_scores = scores;
    tile_scores.shape = {tile.rows, tile.columns};
    tile_scores.diagonal += tile.row;
    Types::rows().gradient(tile_scores, products_.data(), dprobabilities_.data(), lse_.data() + tile.row,
                           delta_.data() + tile.row,
                           {probabilities_.data(), dscores_right_.data(), dscores_left_.data()});
    const GemmShape transposed{width_, tile.columns, tile.rows, query_rows, tile.columns, kKeyRows};
    multiply(transposed, douts_transposed_.data() + tile.row, probabilities_.data(), sums.dv, Sum::kAdd);
    multiply(transposed, queries_transposed_.data() + tile.row, dscores_right_.data(), sums.dk, Sum::kAdd);
    multiply({tile.rows, width_, tile.columns, tile.columns, width_, width_}, dscores_left_.data(),
             task_.packs.keys.block(segment, kv_head, b), dq_.data() + left, dq);
  }

  const BackwardTask<Types>& task_;
  std::int64_t width_;
  Numbers<Operand> queries_, douts_;                        // [rows,E]
  Numbers<Operand> queries_transposed_, douts_transposed_;  // [E,rows]
  Numbers<Real> products_, dprobabilities_;                 // [rows,keys]
  Numbers<Operand> probabilities_, dscores_right_, dscores_left_;
  Numbers<Real> dq_;  // [rows,E]
  Numbers<Real> lse_, delta_, scale_;
  Numbers<Real> sums_;  // dk and dv of a chunk that is alone
};

/// Adds the sums of a segment's chunks in their order and writes dK and dV.
template <class Types>
void reduce_segment(const BackwardTask<Types>& task, std::size_t first_chunk, std::size_t last_chunk) {
  const auto& whole = task.chunks[last_chunk - 1];
  const auto block = kKeyRows * task.packs.keys.width;
  const auto blocks = task.problem.segments[whole.segment].key_blocks();
  at::parallel_for(0, blocks * task.problem.kv_heads(), 1, [&](std::int64_t begin, std::int64_t end) {
    Numbers<typename Types::Real> sums(2 * block);
    for (auto unit = begin; unit < end; ++unit) {
      const auto b = unit % blocks, kv_head = unit / blocks;
      std::fill_n(sums.data(), 2 * block, typename Types::Real{0});
      for (auto c = first_chunk; c < last_chunk; ++c) {
        const auto& chunk = task.chunks[c];
        if (b < chunk.keys.begin || b >= chunk.keys.end) continue;
        const auto partial = task.partial(chunk, kv_head);
        const auto at = (b - chunk.keys.begin) * block;
        Types::rows().add(sums.data(), partial.dk + at, block);
        Types::rows().add(sums.data() + block, partial.dv + at, block);
      }
      auto here = whole;
      here.keys = {b, b + 1};
      BackwardWorker<Types>::store_keys(task, here, kv_head, b, {sums.data(), sums.data() + block});
    }
  });
}

template <class Types>
AttentionGradients run_backward(const AttentionProblem& problem, const AttentionResult& result,
                                const at::Tensor& dout) {
  const AttentionGradients grads{at::empty(problem.q.sizes(), problem.q.options()),
                                 at::empty(problem.k.sizes(), problem.k.options()),
                                 at::empty(problem.v.sizes(), problem.v.options())};
  const auto chunks = chunks_of(problem);
  const auto rows = partial_rows(chunks);
  const BackwardTask<Types> task{
      problem,
      result,
      dout,
      grads,
      BackwardPacks<Types>(problem),
      chunks,
      rows,
      Numbers<typename Types::Real>(2 * rows * problem.kv_heads() * padded(problem.width()))};
  std::vector<const Chunk*> order;
  for (const auto& chunk : task.chunks) order.push_back(&chunk);
  const auto cost = [](const Chunk* chunk) { return (chunk->last - chunk->first) * chunk->key_blocks(); };
  std::stable_sort(order.begin(), order.end(),
                   [&](const auto* a, const auto* b) { return cost(a) > cost(b); });
  const auto kv_heads = problem.kv_heads();
  for_each_unit(static_cast<std::int64_t>(order.size()) * kv_heads, [&] {
    return [&, worker = BackwardWorker<Types>(task)](std::int64_t unit) mutable {
      worker.run(*order[unit / kv_heads], unit % kv_heads);
    };
  });
  for (std::size_t first = 0, last; first < chunks.size(); first = last) {
    for (last = first + 1; last < chunks.size() && chunks[last].segment == chunks[first].segment;) ++last;
    if (last > first + 1) reduce_segment(task, first, last);
  }
  return grads;
}

}  // namespace

AttentionGradients attention_backward(const AttentionProblem& problem, const AttentionResult& result,
                                      const at::Tensor& dout) {
  return with_attention_types(problem.q.scalar_type(), [&](auto types) {
    return run_backward<decltype(types)>(problem, result, dout);
  });
}

}  // namespace graft
