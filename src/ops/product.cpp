#include "ops/product.h"

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cassert>

#include "ops/block_gemm.h"
#include "ops/parallel.h"
#include "ops/product_int8.h"
#include "ops/product_worker.h"

namespace graft {
namespace {

// work(worker, i) for i in [0, count) on all threads, each with a worker of its own.
template <class Work>
void share_out(std::size_t count, const WorkerSpace& space, const Work& work) {
  const std::int64_t threads = at::get_num_threads(), bytes = ProductWorker::bytes(space);
  // One allocation; the caching allocator hands out the same warm memory every time.
  const auto memory = at::detail::empty_cpu({threads, bytes}, at::kByte);
  auto* first_byte = static_cast<std::byte*>(memory.mutable_data_ptr());
  std::atomic<std::size_t> next = 0;
  at::parallel_for(0, threads, 1, [&](std::int64_t first, std::int64_t last) {
    for (auto thread = first; thread < last; ++thread) {
      ProductWorker worker(space, first_byte + thread * bytes);
      for (std::size_t i = next++; i < count; i = next++) work(worker, i);
    }
    release_multiplier();
  });
}

std::int64_t most_parts(const std::vector<Product>& products) {
  std::size_t parts = 1;
  for (const auto& product : products) parts = std::max(parts, product.parts.size());
  return static_cast<std::int64_t>(parts);
}

void run_by_columns(const std::vector<Product>& products) {
  const ColumnCut cut = cut_columns(products, at::get_num_threads());
  const auto width = padded(cut.columns);
  const WorkerSpace space{.panels = kPanelNumbers + kDepth * width,
                          .sums = most_parts(products) * padded(cut.rows) * width};
  share_out(cut.tasks.size(), space, [&](ProductWorker& worker, std::size_t i) { worker.run(cut.tasks[i]); });
}

using Stages = std::vector<std::vector<Product>>;

void run_by_rows(const Stages& stages, const std::vector<LeftInInt8>& lefts) {
  const auto tasks = cut_rows(stages, at::get_num_threads());
  WorkerSpace space;
  for (const auto& stage : stages)
    space.sums = std::max(space.sums, most_parts(stage) * kTileRows * kTileColumns);
  const auto rounds = cut_rounds(stages);
  const DeepSums deep(rounds);
  for (const Round& round : rounds) {
    const SharedPanels shared(round);
    share_out(shared.pieces().size(), space,
              [&](ProductWorker& worker, std::size_t i) { worker.pack(shared.pieces()[i]); });
    share_out(tasks.size(), space, [&](ProductWorker& worker, std::size_t i) {
      // Here they stay in the cache of the thread that multiplies them.
      if (&round == &rounds.front())
        for (const auto& left : lefts) quantize_rows(left, tasks[i].first, tasks[i].count);
      worker.run(shared, deep, tasks[i]);
    });
  }
}

// Enough rows for every thread to have several tiles.
bool has_many_rows(const Stages& stages) {
  const auto rows = stages.front().front().rows;
  for (const auto& stage : stages)
    for (const auto& product : stage)
      if (product.rows != rows) return false;
  return rows >= 2 * kTileRows * at::get_num_threads();
}

void run_cut(const Stages& stages, const std::vector<LeftInInt8>& lefts) {
  if (has_many_rows(stages)) return run_by_rows(stages, lefts);
  for (const auto& left : lefts)
    for_rows(left.left.size(0), left.left.size(1),
             [&](std::int64_t first, std::int64_t last) { quantize_rows(left, first, last - first); });
  for (const auto& stage : stages) run_by_columns(stage);
}

}  // namespace

void run_products(const std::vector<Product>& products) {
  if (!products.empty()) run_stages({products});
}

void run_stages(const std::vector<std::vector<Product>>& stages) {
  if (!any_int8(stages)) return run_cut(stages, {});
  Stages with_codes = stages;
  const auto lefts = lefts_in_int8(with_codes);
  run_cut(with_codes, lefts);
}

bool suits_products(const at::Tensor& left, std::int64_t rows, std::int64_t columns) {
  return left.scalar_type() == at::kBFloat16 && rows % 2 == 0 && columns % 2 == 0 && multiplies_bf16();
}

Matrix matrix_of(const at::Tensor& t) {
  assert(t.dim() == 2 && t.scalar_type() == at::kBFloat16 && t.stride(1) == 1);
  return {.rows = t.size(0), .columns = t.size(1), .read = [t](const MatrixBlock& block, Bf16Bits*) {
            const auto* data = static_cast<const Bf16Bits*>(t.const_data_ptr());
            return RowView<const Bf16Bits>{data + block.row * t.stride(0) + block.column, t.stride(0),
                                           block.rows, block.columns};
          }};
}

}  // namespace graft
