#include "ops/product_int8.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <vector>

#include "kernels/cpu/int8_rows.h"
#include "ops/block_gemm.h"
#include "ops/parallel.h"

namespace graft {
namespace {

std::int64_t rounded_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

constexpr std::array<float, kTileColumns> kOnes = [] {
  std::array<float, kTileColumns> ones{};
  ones.fill(1.0F);
  return ones;
}();

// The panel of the rows of W from `row` on. Of a matrix [rows,columns] all panels but the last are
// kTileColumns wide, the last a multiple of a step.
Int8Panel panel_of(const Int8Matrix& matrix, std::int64_t row, std::int64_t columns) {
  const auto depth = rounded_up(columns, 4), rows = matrix.scales.size(0);
  return {static_cast<std::int8_t*>(const_cast<void*>(matrix.codes.const_data_ptr())) + row * depth, depth,
          std::min(kTileColumns, rows - row)};
}

// offsets of every piece of a depth, for columns of a panel: calls write(piece's first row, depth, offsets).
template <class Write>
void for_offsets(const at::Tensor& offsets, std::int64_t depth, std::int64_t first_column,
                 const Write& write) {
  const auto each = int8_depth(depth);
  auto* to = offsets.mutable_data_ptr<std::int32_t>() + first_column;
  for (std::int64_t first = 0; first < depth; first += each, to += offsets.size(1))
    write(first, rounded_up(std::min(each, depth - first), 4), to);
}

// Rows of W from `first` on, turned: the panel of its columns from `column` on.
void turn_rows(const Int8Matrix& matrix, std::int64_t columns, std::int64_t first, std::int64_t column,
               const Int8Panel& to) {
  for (std::int64_t row = 0; row < to.depth; row += kTileColumns) {
    auto from = panel_of(matrix, first + row, columns);
    const auto depth = std::min(kTileColumns, to.depth - row);
    from.codes += column * from.width;
    from.depth = std::min(to.width, from.depth - column);
    int8_rows().turn(from, {to.codes + row * to.width, depth, to.width});
  }
}

}  // namespace

bool any_int8(const std::vector<std::vector<Product>>& stages) {
  for (const auto& stage : stages)
    for (const auto& product : stage)
      for (const auto& part : product.parts)
        if (std::any_of(part.begin(), part.end(), is_int8)) return true;
  return false;
}

std::vector<LeftInInt8> lefts_in_int8(std::vector<std::vector<Product>>& stages) {
  std::vector<LeftInInt8> all;
  const auto same = [](const at::Tensor& a, const at::Tensor& b) {
    return a.defined() == b.defined() &&
           (!a.defined() || (a.const_data_ptr() == b.const_data_ptr() && a.strides() == b.strides() &&
                             a.sizes() == b.sizes()));
  };
  const auto prepare = [&](ProductTerm& term) {
    if (!is_int8(term)) return;
    const auto width = term.left.size(1);
    const auto factors = term.side == Side::kAsStored ? term.right.int8.scales : at::Tensor();
    assert(!factors.defined() || factors.size(0) >= width);
    const auto known = std::find_if(all.begin(), all.end(), [&](const LeftInInt8& each) {
      return same(each.left, term.left) && same(each.factors, factors);
    });
    if (known != all.end()) {
      term.left_int8 = known->codes;
      return;
    }
    const auto rows = rounded_up(term.left.size(0), kBlockStep);
    term.left_int8 = {.codes = at::detail::empty_cpu({rows, rounded_up(width, 4)}, at::kByte),
                      .scales = at::detail::empty_cpu({rows}, at::kFloat)};
    all.push_back({term.left, factors, term.left_int8});
  };
  for (auto& stage : stages)
    for (auto& product : stage)
      for (auto& part : product.parts) std::for_each(part.begin(), part.end(), prepare);
  return all;
}

void quantize_rows(const LeftInInt8& of, std::int64_t first, std::int64_t count) {
  const auto& [left, factors, codes] = of;
  const auto stride = left.stride(0), width = codes.codes.size(1);
  int8_rows().quantize_left(
      {static_cast<const Bf16*>(left.const_data_ptr()) + first * stride, stride, count, left.size(1)},
      factors.defined() ? factors.const_data_ptr<float>() : nullptr,
      {codes.codes.mutable_data_ptr<std::uint8_t>() + first * width, width, count, width},
      codes.scales.mutable_data_ptr<float>() + first);
}

Int8Matrix quantize_matrix(
    std::int64_t rows, std::int64_t columns,
    const std::function<at::Tensor(std::int64_t first, std::int64_t last)>& read_rows) {
  const auto depth = rounded_up(columns, 4), padded_rows = rounded_up(rows, kBlockStep),
             padded_columns = rounded_up(columns, kBlockStep);
  const auto pieces = [](std::int64_t of) { return (of + int8_depth(of) - 1) / int8_depth(of); };
  const Int8Matrix result{.codes = at::empty({padded_rows * depth}, at::kChar),
                          .scales = at::zeros({padded_rows}, at::kFloat),
                          .row_offsets = at::empty({pieces(columns), padded_rows}, at::kInt),
                          .column_offsets = at::empty({pieces(rows), padded_columns}, at::kInt)};
  for_rows(rounded_up(rows, kTileColumns) / kTileColumns, kTileColumns * columns,
           [&](std::int64_t first, std::int64_t last) {
             std::vector<std::int8_t> codes(static_cast<std::size_t>(kTileColumns * depth));
             for (auto i = first; i < last; ++i) {
               const auto row = i * kTileColumns, count = std::min(kTileColumns, rows - row);
               const auto values = read_rows(row, row + count).contiguous();
               const RowView<std::int8_t> view{codes.data(), depth, count, depth};
               int8_rows().quantize_right({values.const_data_ptr<float>(), columns, count, columns}, view,
                                          result.scales.mutable_data_ptr<float>() + row);
               const auto panel = panel_of(result, row, columns);
               int8_rows().pack({view.data, depth, count, depth}, panel);
               for_offsets(
                   result.row_offsets, columns, row,
                   [&](std::int64_t begin, std::int64_t some, std::int32_t* offsets) {
                     int8_rows().offsets({panel.codes + begin * panel.width, some, panel.width}, offsets);
                   });
             }
           });
  for_rows(rounded_up(columns, kTileColumns) / kTileColumns, kTileColumns * rows,
           [&](std::int64_t first, std::int64_t last) {
             std::vector<std::int8_t> turned(static_cast<std::size_t>(int8_depth(rows) * kTileColumns));
             for (auto i = first; i < last; ++i) {
               const auto column = i * kTileColumns, width = std::min(kTileColumns, padded_columns - column);
               for_offsets(result.column_offsets, rows, column,
                           [&](std::int64_t begin, std::int64_t some, std::int32_t* offsets) {
                             const Int8Panel panel{turned.data(), some, width};
                             turn_rows(result, columns, begin, column, panel);
                             int8_rows().offsets(panel, offsets);
                           });
             }
           });
  return result;
}

void pack_int8(const ProductPiece& piece, const PanelColumns& columns, Bf16Bits* memory) {
  if (piece.term->side == Side::kTransposed) return;
  turn_rows(piece.term->right.int8, piece.term->right.columns, piece.first, columns.first,
            {reinterpret_cast<std::int8_t*>(memory), piece.depth, columns.width});
}

PackedInt8 packed_int8(const ProductPiece& piece, const PanelColumns& columns, const Bf16Bits* memory) {
  const auto& [codes, scales, row_offsets, column_offsets] = piece.term->right.int8;
  const auto index = piece.first / int8_depth(piece.term->left.size(1));
  const auto offsets = [&](const at::Tensor& all) {
    return all.const_data_ptr<std::int32_t>() + index * all.size(1) + columns.first;
  };
  if (piece.term->side == Side::kAsStored)
    return {reinterpret_cast<const std::int8_t*>(memory), offsets(column_offsets), kOnes.data()};
  const auto panel = panel_of(piece.term->right.int8, columns.first, piece.term->right.columns);
  assert(panel.width == columns.width);
  return {panel.codes + piece.first * panel.width, offsets(row_offsets),
          scales.const_data_ptr<float>() + columns.first};
}

}  // namespace graft
