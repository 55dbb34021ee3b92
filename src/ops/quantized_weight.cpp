#include "ops/quantized_weight.h"

#include <ATen/ATen.h>

#include <cassert>
#include <utility>

#include "kernels/cpu/block_decode.h"
#include "ops/parallel.h"

namespace graft {
namespace {

std::int64_t rounded_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

std::int64_t values_of(DType dtype) { return static_cast<std::int64_t>(traits(dtype).values); }

/// What both formats share: they differ in how a run of a row is decoded.
class QuantizedWeight : public FrozenWeight {
 public:
  /// Runs are decoded in whole granules of a row; panels start at multiples of column_unit.
  QuantizedWeight(std::int64_t out, std::int64_t in, std::int64_t granule, std::int64_t column_unit,
                  at::ScalarType dtype)
      : out_(out), in_(in), granule_(granule), column_unit_(column_unit), dtype_(dtype) {}

  std::int64_t out_features() const final { return out_; }
  std::int64_t in_features() const final { return in_; }

  Matrix matrix() const final {
    return {.rows = out_,
            .columns = in_,
            .read =
                [this](const MatrixBlock& block, Bf16Bits* scratch) {
                  const auto width = rounded_up(block.columns, granule_);
                  for (std::int64_t i = 0; i < block.rows; ++i)
                    decode_run(block.row + i, block.column, width, scratch + i * width);
                  return RowView<const Bf16Bits>{scratch, width, block.rows, block.columns};
                },
            .column_unit = column_unit_};
  }

  at::Tensor look_up(const at::Tensor& ids) const final {
    auto found = at::empty({ids.size(0), in_}, dtype_);
    const auto* id = ids.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < ids.size(0); ++i) found[i].copy_(rows(id[i], id[i] + 1)[0]);
    return found;
  }

 protected:
  /// Weights (row, first) … (row, first + count) as bf16; whole granules.
  virtual void decode_run(std::int64_t row, std::int64_t first, std::int64_t count, Bf16Bits* to) const = 0;

  std::int64_t out_, in_, granule_, column_unit_;
  at::ScalarType dtype_;
};

class BlockWeight final : public QuantizedWeight {
 public:
  BlockWeight(BlockMatrix matrix, std::shared_ptr<const void> owner, at::ScalarType dtype)
      : QuantizedWeight(matrix.out, matrix.in, unit_of(matrix.dtype), unit_of(matrix.dtype), dtype),
        matrix_(std::move(matrix)),
        owner_(std::move(owner)),
        row_bytes_(static_cast<std::size_t>(in_ / values_of(matrix_.dtype)) * traits(matrix_.dtype).bytes),
        decode_(block_decode().run(matrix_.dtype)) {
    assert(in_ % values_of(matrix_.dtype) == 0);
  }

  at::Tensor rows(std::int64_t first, std::int64_t last) const override {
    auto decoded = at::empty({last - first, in_}, at::kFloat);
    for_rows(last - first, in_, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = begin; i < end; ++i)
        decode_to_f32(matrix_.dtype, row_blocks(first + i),
                      {decoded.mutable_data_ptr<float>() + i * in_, static_cast<std::size_t>(in_)});
    });
    return decoded;
  }

 protected:
  void decode_run(std::int64_t row, std::int64_t first, std::int64_t count, Bf16Bits* to) const override {
    if (decode_ != nullptr) return decode_(row_blocks(row).data(), first, count, to);
    const std::size_t width = traits(matrix_.dtype).bytes;
    const auto floats = row_blocks(row).subspan(static_cast<std::size_t>(first) * width,
                                                static_cast<std::size_t>(count) * width);
    std::vector<float> values(static_cast<std::size_t>(count));
    decode_to_f32(matrix_.dtype, floats, values);
    for (const float value : values) *to++ = bf16_of_f32(value);
  }

 private:
  /// Floats can be cut anywhere.
  static std::int64_t unit_of(DType dtype) { return values_of(dtype) > 1 ? kDecodeUnit : 1; }

  std::span<const std::byte> row_blocks(std::int64_t row) const {
    const auto stored = matrix_.order.empty() ? row : matrix_.order[static_cast<std::size_t>(row)];
    return matrix_.blocks.subspan(static_cast<std::size_t>(stored) * row_bytes_, row_bytes_);
  }

  BlockMatrix matrix_;
  std::shared_ptr<const void> owner_;
  std::size_t row_bytes_;
  DecodeRun decode_;  // null for floats
};

class Nf4Weight final : public QuantizedWeight {
 public:
  Nf4Weight(std::int64_t out, std::int64_t in, const Nf4View& view, std::shared_ptr<const void> owner,
            at::ScalarType dtype)
      : QuantizedWeight(out, in, 1, kNf4Block, dtype),
        view_(view),
        owner_(std::move(owner)),
        decode_(block_decode().nf4) {}

  at::Tensor rows(std::int64_t first, std::int64_t last) const override {
    auto decoded = at::empty({last - first, in_}, at::kFloat);
    for_rows(last - first, in_, [&](std::int64_t begin, std::int64_t end) {
      decode_nf4(
          view_, (first + begin) * in_,
          {decoded.mutable_data_ptr<float>() + begin * in_, static_cast<std::size_t>((end - begin) * in_)});
    });
    return decoded;
  }

 protected:
  void decode_run(std::int64_t row, std::int64_t first, std::int64_t count, Bf16Bits* to) const override {
    decode_(view_, row * in_ + first, count, to);
  }

 private:
  Nf4View view_;
  std::shared_ptr<const void> owner_;
  DecodeNf4Run decode_;
};

}  // namespace

FrozenWeightPtr block_weight(BlockMatrix matrix, std::shared_ptr<const void> owner, at::ScalarType dtype) {
  return std::make_shared<BlockWeight>(std::move(matrix), std::move(owner), dtype);
}

FrozenWeightPtr nf4_weight(std::int64_t out, std::int64_t in, const Nf4View& view,
                           std::shared_ptr<const void> owner, at::ScalarType dtype) {
  return std::make_shared<Nf4Weight>(out, in, view, std::move(owner), dtype);
}

}  // namespace graft
