#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/encode.h"
#include "kernels/nf4.h"
#include "ops/parallel.h"
#include "ops/quantized_weight.h"

namespace graft {
namespace {

using ReadRows = std::function<void(std::int64_t first, std::int64_t last, float* values)>;

/// Rows of a piece: whole blocks of every format whatever the width.
constexpr std::int64_t kPieceRows = 64;

/// encode(place of the first value, values) for pieces of W on all threads.
template <class Encode>
void encode_rows(std::int64_t out, std::int64_t in, const ReadRows& read_rows, const Encode& encode) {
  for_rows((out + kPieceRows - 1) / kPieceRows, kPieceRows * in, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> values(static_cast<std::size_t>(kPieceRows * in));
    for (auto piece = first; piece < last; ++piece) {
      const auto row = piece * kPieceRows, end = std::min(row + kPieceRows, out);
      read_rows(row, end, values.data());
      encode(static_cast<std::size_t>(row * in),
             std::span<const float>(values).first(static_cast<std::size_t>((end - row) * in)));
    }
  });
}

FrozenWeightPtr as_nf4(std::int64_t out, std::int64_t in, const ReadRows& read_rows, at::ScalarType dtype) {
  auto weights = std::make_shared<Nf4Weights>();
  const auto values = static_cast<std::size_t>(out * in), blocks = (values + kNf4Block - 1) / kNf4Block;
  weights->codes.resize((values + 1) / 2);
  weights->absmax_codes.resize(blocks);
  weights->nested_absmax.resize((blocks + kNf4NestedBlock - 1) / kNf4NestedBlock);
  std::vector<float> absmax(blocks);
  encode_rows(out, in, read_rows, [&](std::size_t first, std::span<const float> some) {
    encode_nf4(some, kNf4Block, weights->codes.data() + first / 2, absmax.data() + first / kNf4Block);
  });
  weights->offset = mean_of_scales(absmax);
  encode_scales(absmax, weights->offset, weights->absmax_codes.data(), weights->nested_absmax.data());
  return nf4_weight(out, in, weights->view(), weights, dtype);
}

FrozenWeightPtr as_q8_0(std::int64_t out, std::int64_t in, const ReadRows& read_rows, at::ScalarType dtype) {
  const DTypeTraits& type = traits(DType::kQ8_0);
  const auto bytes = static_cast<std::size_t>(out * in) / type.values * type.bytes;
  auto blocks = std::make_shared<std::vector<std::byte>>(bytes);
  encode_rows(out, in, read_rows, [&](std::size_t first, std::span<const float> some) {
    encode_q8_0(some, blocks->data() + first / type.values * type.bytes);
  });
  BlockMatrix encoded{.dtype = DType::kQ8_0, .out = out, .in = in, .blocks = *blocks};
  return block_weight(std::move(encoded), blocks, dtype);
}

}  // namespace

std::int64_t block_of(WeightFormat format) {
  return format == WeightFormat::kNf4 ? kNf4Block : static_cast<std::int64_t>(traits(DType::kQ8_0).values);
}

FrozenWeightPtr encode_weight(WeightFormat format, std::int64_t out, std::int64_t in,
                              const ReadRows& read_rows, at::ScalarType dtype) {
  return (format == WeightFormat::kNf4 ? as_nf4 : as_q8_0)(out, in, read_rows, dtype);
}

}  // namespace graft
