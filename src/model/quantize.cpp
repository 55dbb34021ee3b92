#include "model/quantize.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "base/file.h"
#include "kernels/encode.h"
#include "kernels/nf4.h"
#include "model/decode.h"
#include "model/families.h"
#include "ops/quantized_weight.h"

namespace graft {
namespace {

/// Rows of a piece: whole blocks of every kind whatever the width, and enough work for a thread.
constexpr std::int64_t kPieceRows = 64;

std::vector<std::int32_t> row_order(const StoredMatrix& matrix) {
  std::vector<std::int32_t> order;
  if (matrix.head_dim == 0) return order;
  for (std::int64_t row = 0; row < matrix.view->shape[0]; ++row)
    order.push_back(static_cast<std::int32_t>(paired_row(row, matrix.head_dim)));
  return order;
}

/// Rows first … last-1 of W in order, their values rounded to bf16.
void read_rows(const StoredMatrix& matrix, std::int64_t first, std::int64_t last, std::vector<float>& to) {
  const auto in = static_cast<std::size_t>(matrix.view->shape[1]);
  const DTypeTraits& type = traits(matrix.view->dtype);
  const std::size_t row_bytes = in / type.values * type.bytes;
  to.resize(static_cast<std::size_t>(last - first) * in);
  for (std::int64_t row = first; row < last; ++row) {
    const std::int64_t stored = matrix.head_dim == 0 ? row : paired_row(row, matrix.head_dim);
    decode_to_f32(matrix.view->dtype,
                  matrix.view->bytes.subspan(static_cast<std::size_t>(stored) * row_bytes, row_bytes),
                  std::span(to).subspan(static_cast<std::size_t>(row - first) * in, in));
  }
  for (float& value : to) value = f32_of_bf16(bf16_of_f32(value));
}

/// encode(first value, values) for pieces of W on all threads.
template <class Encode>
void encode_rows(const StoredMatrix& matrix, const Encode& encode) {
  const std::int64_t out = matrix.view->shape[0], in = matrix.view->shape[1];
  for_pieces(static_cast<std::size_t>((out + kPieceRows - 1) / kPieceRows),
             [&](std::size_t piece, std::vector<float>& values) {
               const std::int64_t first = static_cast<std::int64_t>(piece) * kPieceRows;
               read_rows(matrix, first, std::min(first + kPieceRows, out), values);
               encode(static_cast<std::size_t>(first * in), std::span<const float>(values));
             });
  release_mapped(matrix.view->bytes);
}

FrozenWeightPtr as_nf4(const StoredMatrix& matrix, at::ScalarType dtype) {
  const std::int64_t out = matrix.view->shape[0], in = matrix.view->shape[1];
  auto weights = std::make_shared<Nf4Weights>();
  const auto values = static_cast<std::size_t>(out * in), blocks = (values + kNf4Block - 1) / kNf4Block;
  weights->codes.resize((values + 1) / 2);
  weights->absmax_codes.resize(blocks);
  weights->nested_absmax.resize((blocks + kNf4NestedBlock - 1) / kNf4NestedBlock);
  std::vector<float> absmax(blocks);
  encode_rows(matrix, [&](std::size_t first, std::span<const float> some) {
    encode_nf4(some, kNf4Block, weights->codes.data() + first / 2, absmax.data() + first / kNf4Block);
  });
  weights->offset = mean_of_scales(absmax);
  encode_scales(absmax, weights->offset, weights->absmax_codes.data(), weights->nested_absmax.data());
  return nf4_weight(out, in, weights->view(), weights, dtype);
}

FrozenWeightPtr as_q8_0(const StoredMatrix& matrix, at::ScalarType dtype) {
  const std::int64_t out = matrix.view->shape[0], in = matrix.view->shape[1];
  const DTypeTraits& type = traits(DType::kQ8_0);
  auto blocks =
      std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(out * in) / type.values * type.bytes);
  encode_rows(matrix, [&](std::size_t first, std::span<const float> some) {
    encode_q8_0(some, blocks->data() + first / type.values * type.bytes);
  });
  BlockMatrix encoded{.dtype = DType::kQ8_0, .out = out, .in = in, .blocks = *blocks};
  return block_weight(std::move(encoded), blocks, dtype);
}

}  // namespace

FrozenWeightPtr quantize(const StoredMatrix& matrix, Quantization kind, at::ScalarType dtype) {
  return kind == Quantization::kNf4 ? as_nf4(matrix, dtype) : as_q8_0(matrix, dtype);
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
