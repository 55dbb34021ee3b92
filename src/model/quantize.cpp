#include "model/quantize.h"

#include <ATen/Functions.h>

#include <utility>
#include <vector>

#include "base/file.h"
#include "model/families.h"
#include "ops/int8_weight.h"

namespace graft {
namespace {

std::vector<std::int32_t> row_order(const StoredMatrix& matrix) {
  std::vector<std::int32_t> order;
  if (matrix.head_dim == 0) return order;
  for (std::int64_t row = 0; row < matrix.view->shape[0]; ++row)
    order.push_back(static_cast<std::int32_t>(paired_row(row, matrix.head_dim)));
  return order;
}

/// Rows first … last-1 of W in order, their values rounded to bf16: what a user of the bf16 base would
/// encode.
void read_rows(const StoredMatrix& matrix, std::int64_t first, std::int64_t last, float* values) {
  const auto in = static_cast<std::size_t>(matrix.view->shape[1]);
  const DTypeTraits& type = traits(matrix.view->dtype);
  const std::size_t row_bytes = in / type.values * type.bytes;
  for (std::int64_t row = first; row < last; ++row, values += in) {
    const std::int64_t stored = matrix.head_dim == 0 ? row : paired_row(row, matrix.head_dim);
    decode_to_f32(matrix.view->dtype,
                  matrix.view->bytes.subspan(static_cast<std::size_t>(stored) * row_bytes, row_bytes),
                  {values, in});
    for (std::size_t i = 0; i < in; ++i) values[i] = f32_of_bf16(bf16_of_f32(values[i]));
  }
}

}  // namespace

FrozenWeightPtr quantize(const StoredMatrix& matrix, WeightFormat format, at::ScalarType dtype) {
  auto weight = encode_weight(
      format, matrix.view->shape[0], matrix.view->shape[1],
      [&](std::int64_t first, std::int64_t last, float* values) { read_rows(matrix, first, last, values); },
      dtype);
  release_mapped(matrix.view->bytes);
  return weight;
}

FrozenWeightPtr compute_int8(const StoredMatrix& matrix, std::shared_ptr<const void> owner) {
  const auto in = matrix.view->shape[1];
  const auto read = [view = *matrix.view, head_dim = matrix.head_dim, owner = std::move(owner), in](
                        std::int64_t first, std::int64_t last) {
    auto values = at::empty({last - first, in}, at::kFloat);
    read_rows({&view, head_dim}, first, last, values.mutable_data_ptr<float>());
    return values;
  };
  return int8_weight(
      {.out = matrix.view->shape[0], .in = in, .read_rows = read, .release = [bytes = matrix.view->bytes] {
         release_mapped(bytes);
       }});
}

FrozenWeightPtr keep_blocks(const StoredMatrix& matrix, std::shared_ptr<const void> owner,
                            at::ScalarType dtype) {
  BlockMatrix blocks{.dtype = matrix.view->dtype,
                     .out = matrix.view->shape[0],
                     .in = matrix.view->shape[1],
                     .blocks = matrix.view->bytes,
                     .order = row_order(matrix)};
  return block_weight(std::move(blocks), std::move(owner), dtype);
}

}  // namespace graft
