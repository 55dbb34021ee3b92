#include "ops/product_int8.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <tuple>

#include "kernels/cpu/attention_rows.h"
#include "kernels/cpu/int8_rows.h"
#include "ops/parallel.h"

namespace graft {
namespace {

constexpr std::int64_t kPieceRows = 64;  // of a matrix that exist as fp32 at a time, per thread

std::int64_t rounded_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

// left [T,K] in codes; rows are filled up to a step with whatever, columns to a multiple of 4 with zeros.
Int8Codes quantize_left(const at::Tensor& left, const at::Tensor& factors) {
  const auto rows = rounded_up(left.size(0), kBlockStep), width = rounded_up(left.size(1), 4);
  const Int8Codes result{.codes = at::empty({rows, width}, at::kByte),
                         .scales = at::empty({rows}, at::kFloat)};
  auto* codes = result.codes.mutable_data_ptr<std::uint8_t>();
  auto* scales = result.scales.mutable_data_ptr<float>();
  const auto* numbers = static_cast<const Bf16*>(left.const_data_ptr());
  const auto stride = left.stride(0);
  const float* factor = factors.defined() ? factors.const_data_ptr<float>() : nullptr;
  for_rows(left.size(0), left.size(1), [&](std::int64_t first, std::int64_t last) {
    int8_rows().quantize_left({numbers + first * stride, stride, last - first, left.size(1)}, factor,
                              {codes + first * width, width, last - first, width}, scales + first);
  });
  return result;
}

}  // namespace

bool any_int8(const std::vector<std::vector<Product>>& stages) {
  for (const auto& stage : stages)
    for (const auto& product : stage)
      for (const auto& part : product.parts)
        if (std::any_of(part.begin(), part.end(), is_int8)) return true;
  return false;
}

std::vector<std::vector<Product>> with_quantized_left(std::vector<std::vector<Product>> stages) {
  using Key = std::tuple<const void*, std::int64_t, std::int64_t, const void*>;
  std::map<Key, Int8Codes> known;
  const auto quantize = [&](ProductTerm& term) {
    if (!is_int8(term)) return;
    const auto factors = term.side == Side::kAsStored ? term.right.int8.scales : at::Tensor();
    assert(!factors.defined() || factors.size(0) == term.left.size(1));
    const void* folded = factors.defined() ? factors.const_data_ptr() : nullptr;
    auto& codes = known[{term.left.const_data_ptr(), term.left.stride(0), term.left.size(1), folded}];
    if (!codes.codes.defined()) codes = quantize_left(term.left, factors);
    term.left_int8 = codes;
  };
  for (auto& stage : stages)
    for (auto& product : stage)
      for (auto& part : product.parts) std::for_each(part.begin(), part.end(), quantize);
  return stages;
}

Int8Codes quantize_matrix(std::int64_t rows, std::int64_t columns,
                          const std::function<at::Tensor(std::int64_t first, std::int64_t last)>& read_rows) {
  const auto width = rounded_up(columns, 4);
  const Int8Codes result{.codes = at::empty({rows, width}, at::kChar),
                         .scales = at::empty({rows}, at::kFloat)};
  auto* codes = result.codes.mutable_data_ptr<std::int8_t>();
  auto* scales = result.scales.mutable_data_ptr<float>();
  for_rows(rounded_up(rows, kPieceRows) / kPieceRows, kPieceRows * columns,
           [&](std::int64_t first, std::int64_t last) {
             for (auto piece = first; piece < last; ++piece) {
               const auto row = piece * kPieceRows, count = std::min(kPieceRows, rows - row);
               const auto values = read_rows(row, row + count).contiguous();
               int8_rows().quantize_right({values.const_data_ptr<float>(), columns, count, columns},
                                          {codes + row * width, width, count, width}, scales + row);
             }
           });
  return result;
}

PackedInt8 packed_int8(Bf16Bits* memory, std::int64_t depth, std::int64_t width) {
  auto* codes = reinterpret_cast<std::int8_t*>(memory);
  auto* offsets = reinterpret_cast<std::int32_t*>(codes + depth * width);
  return {codes, offsets, reinterpret_cast<float*>(offsets + width)};
}

void pack_int8(const ProductTerm& term, std::int64_t first, std::int64_t depth, const PanelColumns& columns,
               const PackedInt8& to) {
  const at::Tensor& stored = term.right.int8.codes;
  const auto stride = stored.size(1);
  const auto* codes = stored.const_data_ptr<std::int8_t>();
  const Int8Panel panel{to.codes, depth, columns.width};
  if (term.side == Side::kAsStored) {
    const auto rows = std::min(depth, stored.size(0) - first);
    int8_rows().pack({codes + first * stride + columns.first, stride, rows, columns.count}, panel);
    std::fill_n(to.scales, columns.width, 1.0F);
  } else {
    // Four codes of a row stay together, as two bf16 numbers would.
    const auto* pairs = reinterpret_cast<const Bf16Bits*>(codes + columns.first * stride + first);
    attention_rows<Bf16Bits, Bf16Bits, float>().front().pack_transposed(
        {pairs, stride / 2, columns.count, depth / 2}, {columns.width, depth / 2},
        reinterpret_cast<Bf16Bits*>(to.codes));
    const float* scales = term.right.int8.scales.const_data_ptr<float>() + columns.first;
    std::fill(std::copy_n(scales, columns.count, to.scales), to.scales + columns.width, 0.0F);
  }
  int8_rows().offsets(panel, to.offsets);
}

}  // namespace graft
