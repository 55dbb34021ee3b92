#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/row_view.h"
#include "ops/product.h"

namespace graft {

/// The rows and columns of a bf16 tensor [rows,columns] where a tile lies; null where it is undefined.
inline RowView<const Bf16> rows_to_read(const at::Tensor& t, const Tile& tile) {
  if (!t.defined()) return {nullptr, 0, 0, 0};
  return {static_cast<const Bf16*>(t.const_data_ptr()) + tile.row * t.stride(0) + tile.column, t.stride(0),
          tile.rows, tile.columns};
}
inline RowView<Bf16> rows_to_write(const at::Tensor& t, const Tile& tile) {
  return {static_cast<Bf16*>(t.mutable_data_ptr()) + tile.row * t.stride(0) + tile.column, t.stride(0),
          tile.rows, tile.columns};
}
/// The numbers of a bf16 vector [columns] where a tile lies; null where it is undefined.
inline const Bf16* columns_at(const at::Tensor& t, const Tile& tile) {
  return t.defined() ? static_cast<const Bf16*>(t.const_data_ptr()) + tile.column : nullptr;
}

}  // namespace graft
