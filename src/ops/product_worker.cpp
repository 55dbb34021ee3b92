#include "ops/product_worker.h"

#include <ATen/EmptyTensor.h>

#include <algorithm>

#include "kernels/cpu/int8_rows.h"
#include "ops/block_gemm.h"

namespace graft {
namespace {

constexpr std::int64_t kBlockNumbers = kDepth * kTileRows;

const AttentionRows<Bf16Bits, Bf16Bits, float>& packing() {
  return attention_rows<Bf16Bits, Bf16Bits, float>().front();
}

// Memory is slower than a product takes to come to its end: asked for now, the numbers will be there by then.
void fetch(const Product& product, const RowRange& rows, std::int64_t column, std::int64_t columns) {
  constexpr std::int64_t kLine = 64 / sizeof(Bf16Bits);
  for (const auto& t : product.touched) {
    const auto* first = static_cast<const Bf16Bits*>(t.const_data_ptr()) + column;
    for (auto row = rows.first; row < rows.first + rows.count; ++row)
      for (std::int64_t i = 0; i < columns; i += kLine)
        __builtin_prefetch(first + row * t.stride(0) + i, /*rw=*/1, /*locality=*/2);
  }
}

}  // namespace

SharedPanels::SharedPanels(const Round& round)
    : round_(round), memory_(at::detail::empty_cpu({round.numbers}, at::kBFloat16)) {
  for (const Panel& panel : round.panels) {
    auto* packed = static_cast<Bf16Bits*>(memory_.mutable_data_ptr()) + panel.packed;
    for (const ProductPiece& piece : panel.pieces) {
      pieces_.push_back({&panel, &piece, packed});
      packed += packed_numbers(piece, panel.width);
    }
  }
}

DeepSums::DeepSums(const std::vector<Round>& rounds) {
  for (const Round& round : rounds)
    for (const Panel& panel : round.panels)
      if (panel.is_part && !sums_.contains(panel.product))
        sums_[panel.product] =
            at::detail::empty_cpu({padded(panel.product->rows), padded(panel.product->columns)}, at::kFloat);
}

TileSums DeepSums::at(const Panel& panel, std::int64_t row) const {
  if (!panel.is_part) return {nullptr, 0};
  const at::Tensor& sums = sums_.at(panel.product);
  return {sums.mutable_data_ptr<float>() + row * sums.size(1) + panel.column, sums.size(1)};
}

std::int64_t ProductWorker::bytes(const WorkerSpace& space) {
  return 2 * (space.panels + 2 * kBlockNumbers) + 4 * (space.sums + kTileRows * kTileColumns);
}

ProductWorker::ProductWorker(const WorkerSpace& space, std::byte* memory)
    : panels_(reinterpret_cast<Bf16Bits*>(memory)),
      decoded_(panels_ + space.panels),
      left_(decoded_ + kBlockNumbers),
      sums_(reinterpret_cast<float*>(left_ + kBlockNumbers)),
      int8_sums_(reinterpret_cast<std::int32_t*>(sums_ + space.sums)) {}

void ProductWorker::pack(const ProductPiece& piece, const PanelColumns& columns, Bf16Bits* to) {
  if (is_int8(*piece.term)) return pack_int8(piece, columns, to);
  const Matrix& right = piece.term->right;
  const bool stored = piece.term->side == Side::kAsStored;
  const auto depth = std::min(piece.depth, (stored ? right.rows : right.columns) - piece.first);
  const auto view = right.read(stored ? MatrixBlock{piece.first, depth, columns.first, columns.count}
                                      : MatrixBlock{columns.first, columns.count, piece.first, depth},
                               decoded_);
  if (stored)
    packing().pack(view, {piece.depth, columns.width}, to);
  else
    packing().pack_transposed(view, {columns.width, piece.depth}, to);
}

void ProductWorker::add_int8_product(const ProductPiece& piece, const PanelColumns& columns,
                                     const Bf16Bits* packed, const RowRange& rows, const TileSums& to) {
  const Int8Codes& left = piece.term->left_int8;
  const auto stride = left.codes.size(1), width = columns.width;
  const auto right = packed_int8(piece, columns, packed);
  const GemmShape shape{
      .m = padded(rows.count), .n = width, .k = piece.depth, .lda = stride, .ldb = width, .ldc = width};
  multiply(shape, left.codes.const_data_ptr<std::uint8_t>() + rows.first * stride + piece.first, right.codes,
           int8_sums_, Sum::kSet);
  const Int8Tile tile{.sums = int8_sums_,
                      .offsets = right.offsets,
                      .row_scales = left.scales.const_data_ptr<float>() + rows.first,
                      .column_scales = right.scales,
                      .rows = rows.count,
                      .width = width};
  (piece.opens ? int8_rows().set : int8_rows().add)(tile, to.data, to.width);
}

void ProductWorker::add_product(const ProductPiece& piece, const PanelColumns& columns,
                                const Bf16Bits* packed, const RowRange& rows, const TileSums& to) {
  if (is_int8(*piece.term)) return add_int8_product(piece, columns, packed, rows, to);
  const auto width = columns.width;
  const auto stride = piece.term->left.stride(0);
  const auto* left =
      static_cast<const Bf16Bits*>(piece.term->left.const_data_ptr()) + rows.first * stride + piece.first;
  GemmShape shape{
      .m = rows.count, .n = width, .k = piece.depth, .lda = stride, .ldb = width, .ldc = to.width};
  if (rows.count % kBlockStep != 0) {
    // Kernels are compiled for whole steps of rows: what is missing is 0.
    shape.m = padded(rows.count), shape.lda = padded(piece.depth);
    packing().load({left, stride, rows.count, piece.depth}, {shape.m, shape.lda}, left_);
    left = left_;
  }
  multiply(shape, left, packed, to.data, piece.opens ? Sum::kSet : Sum::kAdd);
}

void ProductWorker::finish(const Product& product, const Tile& first, std::int64_t part_numbers) {
  tiles_.assign(product.parts.size(), first);
  for (std::size_t part = 0; part < tiles_.size(); ++part)
    tiles_[part].sums += static_cast<std::int64_t>(part) * part_numbers;
  product.finish(tiles_.data());
}

void ProductWorker::run(const ColumnTask& task) {
  const auto width = padded(task.columns);
  const PanelColumns columns{task.column, task.columns, width};
  const auto pieces = pieces_of(*task.product);
  const auto groups = groups_of(pieces, width);
  const bool one_group = groups.size() == 1;
  const auto part_rows = padded(one_group ? std::min(kTileRows, task.rows) : task.rows);
  for (const auto& group : groups) {
    Bf16Bits* end = panels_;
    for (const auto& piece : group) {
      pack(piece, columns, end);
      end += packed_numbers(piece, width);
    }
    for (std::int64_t row = 0; row < task.rows; row += kTileRows) {
      const RowRange rows{task.row + row, std::min(kTileRows, task.rows - row)};
      float* sums = sums_ + (one_group ? 0 : row * width);
      Bf16Bits* packed = panels_;
      for (const auto& piece : group) {
        const auto part = static_cast<std::int64_t>(piece.part);
        add_product(piece, columns, packed, rows, {sums + part * part_rows * width, width});
        packed += packed_numbers(piece, width);
      }
      if (&group == &groups.back())
        finish(*task.product, {sums, width, rows.first, rows.count, task.column, task.columns},
               part_rows * width);
    }
  }
}

void ProductWorker::pack(const SharedPanels::Piece& piece) {
  pack(*piece.piece, {piece.panel->column, piece.panel->columns, piece.panel->width}, piece.packed);
}

void ProductWorker::run(const SharedPanels& shared, const DeepSums& deep, const RowRange& all) {
  // Panel by panel, so that each is read from the shared cache once for all of these rows.
  for (auto piece = shared.pieces().begin(); piece != shared.pieces().end();) {
    const Panel& panel = *piece->panel;
    const auto end = piece + std::ssize(panel.pieces);
    for (std::int64_t row = all.first; row < all.first + all.count; row += kTileRows) {
      const RowRange rows{row, std::min(kTileRows, all.first + all.count - row)};
      const TileSums kept = deep.at(panel, row);
      const TileSums tile = kept.data != nullptr ? kept : TileSums{sums_, panel.width};
      if (panel.closes) fetch(*panel.product, rows, panel.column, panel.columns);
      for (auto each = piece; each != end; ++each) {
        const auto part = static_cast<std::int64_t>(each->piece->part);
        add_product(*each->piece, {panel.column, panel.columns, panel.width}, each->packed, rows,
                    {tile.data + part * kTileRows * panel.width, tile.width});
      }
      if (panel.closes)
        finish(*panel.product, {tile.data, tile.width, row, rows.count, panel.column, panel.columns},
               kTileRows * panel.width);
    }
    piece = end;
  }
}

}  // namespace graft
