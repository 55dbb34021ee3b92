#include "ops/product.h"

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <span>

#include "kernels/cpu/attention_rows.h"
#include "ops/block_gemm.h"
#include "ops/product_cut.h"

namespace graft {
namespace {

const AttentionRows<Bf16Bits, Bf16Bits, float>& packing() {
  return attention_rows<Bf16Bits, Bf16Bits, float>().front();
}

std::int64_t padded(std::int64_t n) { return (n + kBlockStep - 1) / kBlockStep * kBlockStep; }

// What one thread works in.
struct Workspace {
  Bf16Bits* panels;   // packed pieces of a group, [k, padded columns] each
  Bf16Bits* decoded;  // one block of a stored matrix
  Bf16Bits* left;     // rows of a left matrix where they do not fill a step
  float* sums;        // tiles
};

class Worker {
 public:
  Worker(const Workspace& space, const ProductCut& cut) : space_(space), cut_(cut) {}

  void run(const ProductTask& task) {
    const Product& product = *task.product;
    width_ = padded(task.columns);
    const auto pieces = pieces_of(product);
    const auto groups = groups_of(pieces, width_);
    tile_rows_ = padded(groups.size() == 1 ? std::min(kTileRows, task.rows) : task.rows);
    for (const auto& group : groups) {
      pack(group, task);
      for (std::int64_t row = 0; row < task.rows; row += kTileRows) {
        const auto rows = std::min(kTileRows, task.rows - row);
        const auto slot = groups.size() == 1 ? 0 : row;
        sum_up(group, task.row + row, rows, slot);
        if (&group == &groups.back()) finish(task, row, rows, slot);
      }
    }
  }

 private:
  void pack(std::span<const ProductPiece> group, const ProductTask& task) {
    Bf16Bits* panel = space_.panels;
    for (const auto& piece : group) {
      const Matrix& right = piece.term->right;
      const bool stored = piece.term->side == Side::kAsStored;
      const auto depth = std::min(piece.depth, (stored ? right.rows : right.columns) - piece.first);
      const auto view = right.read(stored ? MatrixBlock{piece.first, depth, task.column, task.columns}
                                          : MatrixBlock{task.column, task.columns, piece.first, depth},
                                   space_.decoded);
      if (stored)
        packing().pack(view, {piece.depth, width_}, panel);
      else
        packing().pack_transposed(view, {width_, piece.depth}, panel);
      panel += piece.depth * width_;
    }
  }

  void sum_up(std::span<const ProductPiece> group, std::int64_t row, std::int64_t rows, std::int64_t slot) {
    const Bf16Bits* panel = space_.panels;
    for (const auto& piece : group) {
      const auto [left, stride] = left_rows(piece, row, rows);
      multiply(
          {.m = padded(rows), .n = width_, .k = piece.depth, .lda = stride, .ldb = width_, .ldc = width_},
          left, panel, sums(piece.part, slot), piece.opens ? Sum::kSet : Sum::kAdd);
      panel += piece.depth * width_;
    }
  }

  struct Left {
    const Bf16Bits* data;
    std::int64_t stride;
  };
  // Kernels are compiled for whole steps of rows: what is missing is 0.
  Left left_rows(const ProductPiece& piece, std::int64_t row, std::int64_t rows) {
    const auto stride = piece.term->left.stride(0);
    const auto* data = static_cast<const Bf16Bits*>(piece.term->left.const_data_ptr()) + row * stride;
    if (rows % kBlockStep == 0) return {data + piece.first, stride};
    packing().load({data + piece.first, stride, rows, piece.depth}, {padded(rows), padded(piece.depth)},
                   space_.left);
    return {space_.left, padded(piece.depth)};
  }

  float* sums(std::size_t part, std::int64_t slot) {
    return space_.sums + (static_cast<std::int64_t>(part) * tile_rows_ + slot) * width_;
  }

  void finish(const ProductTask& task, std::int64_t row, std::int64_t rows, std::int64_t slot) {
    std::vector<Tile>& tiles = tiles_;
    tiles.clear();
    for (std::size_t part = 0; part < task.product->parts.size(); ++part)
      tiles.push_back({sums(part, slot), width_, task.row + row, rows, task.column, task.columns});
    task.product->finish(tiles.data());
  }

  Workspace space_;
  const ProductCut& cut_;
  std::int64_t width_ = 0, tile_rows_ = 0;
  std::vector<Tile> tiles_;
};

// One allocation for all threads; the caching allocator hands out the same warm memory every time.
class Workspaces {
 public:
  Workspaces(const std::vector<Product>& products, const ProductCut& cut, std::int64_t threads) {
    std::int64_t parts = 1;
    for (const auto& product : products)
      parts = std::max(parts, static_cast<std::int64_t>(product.parts.size()));
    const auto width = padded(cut.columns);
    panels_ = kPanelNumbers + kDepth * width;
    block_ = kDepth * std::max(width, kTileRows);
    sums_ = parts * padded(cut.rows) * width;
    bytes_ = 2 * (panels_ + 2 * block_) + 4 * sums_;
    memory_ = at::detail::empty_cpu({threads, bytes_}, at::kByte);
  }

  Workspace of(std::int64_t thread) {
    auto* bytes = memory_.mutable_data_ptr<std::uint8_t>() + thread * bytes_;
    auto* panels = reinterpret_cast<Bf16Bits*>(bytes);
    return {panels, panels + panels_, panels + panels_ + block_,
            reinterpret_cast<float*>(panels + panels_ + 2 * block_)};
  }

 private:
  std::int64_t panels_, block_, sums_, bytes_;
  at::Tensor memory_;
};

}  // namespace

void run_products(const std::vector<Product>& products) {
  const std::int64_t threads = at::get_num_threads();
  const ProductCut cut = cut_products(products, threads);
  Workspaces spaces(products, cut, threads);
  std::atomic<std::size_t> next = 0;
  at::parallel_for(0, threads, 1, [&](std::int64_t first, std::int64_t last) {
    for (auto thread = first; thread < last; ++thread) {
      Worker worker(spaces.of(thread), cut);
      for (std::size_t i = next++; i < cut.tasks.size(); i = next++) worker.run(cut.tasks[i]);
    }
    release_multiplier();
  });
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
