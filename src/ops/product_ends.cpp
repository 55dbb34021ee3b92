#include <algorithm>
#include <cassert>
#include <utility>

#include "kernels/cpu/tile_kernels.h"
#include "ops/product.h"
#include "ops/tile_rows.h"

namespace graft {

std::function<void(const Tile*)> round_to(at::Tensor y, at::Tensor bias, at::Tensor addend) {
  assert(y.scalar_type() == at::kBFloat16 && y.stride(1) == 1);
  return [y = std::move(y), bias = std::move(bias), addend = std::move(addend)](const Tile* tile) {
    tile_kernels().round(tile->sums, tile->width, columns_at(bias, *tile), rows_to_read(addend, *tile),
                         rows_to_write(y, *tile));
  };
}

std::function<void(const Tile*)> round_both_ways_to(at::Tensor y, at::Tensor transpose) {
  assert(transpose.is_contiguous() && transpose.size(0) == y.size(1) && transpose.size(1) >= y.size(0));
  return [round = round_to(y), y, transpose = std::move(transpose)](const Tile* tile) {
    round(tile);
    const auto from = rows_to_read(y, *tile);
    const auto stride = transpose.size(1);
    auto* to = static_cast<Bf16*>(transpose.mutable_data_ptr()) + tile->column * stride + tile->row;
    for (std::int64_t j = 0; j < tile->columns; ++j)
      for (std::int64_t i = 0; i < tile->rows; ++i) to[j * stride + i] = from.data[i * from.stride + j];
  };
}

std::function<void(const Tile*)> times_columns(std::vector<at::Tensor> factors,
                                               std::function<void(const Tile*)> next) {
  const bool any = std::any_of(factors.begin(), factors.end(), [](const auto& f) { return f.defined(); });
  if (!any) return next;
  return [factors = std::move(factors), next = std::move(next)](const Tile* parts) {
    for (std::size_t part = 0; part < factors.size(); ++part) {
      if (!factors[part].defined()) continue;
      const Tile& tile = parts[part];
      const float* factor = factors[part].const_data_ptr<float>() + tile.column;
      for (std::int64_t i = 0; i < tile.rows; ++i)
        for (std::int64_t j = 0; j < tile.columns; ++j) tile.sums[i * tile.width + j] *= factor[j];
    }
    next(parts);
  };
}

std::function<void(const Tile*)> copy_to(at::Tensor y) {
  assert(y.scalar_type() == at::kFloat && y.is_contiguous());
  return [y = std::move(y)](const Tile* tile) {
    auto* to = y.mutable_data_ptr<float>() + tile->row * y.size(1) + tile->column;
    for (std::int64_t i = 0; i < tile->rows; ++i)
      std::copy_n(tile->sums + i * tile->width, tile->columns, to + i * y.size(1));
  };
}

std::function<void(const Tile*)> copy_transposed_to(at::Tensor y, float factor) {
  assert(y.scalar_type() == at::kFloat && y.is_contiguous());
  return [y = std::move(y), factor](const Tile* tile) {
    const auto stride = y.size(1);
    auto* to = y.mutable_data_ptr<float>() + tile->column * stride + tile->row;
    for (std::int64_t j = 0; j < tile->columns; ++j)
      for (std::int64_t i = 0; i < tile->rows; ++i)
        to[j * stride + i] = factor * tile->sums[i * tile->width + j];
  };
}

}  // namespace graft
