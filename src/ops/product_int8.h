#pragma once

#include <vector>

#include "ops/product.h"

/// Terms of products that are taken in int8: left operands are quantised row by row, once for all products
/// that read them.
namespace graft {

inline bool is_int8(const ProductTerm& term) { return term.right.int8.codes.defined(); }
bool any_int8(const std::vector<std::vector<Product>>& stages);

/// The stages with the left operands of their int8 terms in codes. Of a matrix as stored, whose scales lie
/// along the depth, the scales are multiplied into the left operand.
std::vector<std::vector<Product>> with_quantized_left(std::vector<std::vector<Product>> stages);

/// values fp32 [rows,columns] for rows [first, last) of a matrix of this size -> its codes. `read_rows` is
/// called by many threads.
Int8Codes quantize_matrix(std::int64_t rows, std::int64_t columns,
                          const std::function<at::Tensor(std::int64_t first, std::int64_t last)>& read_rows);

/// Columns of a right matrix, packed `width` wide.
struct PanelColumns {
  std::int64_t first, count, width;
};
/// A stretch of the depth of a term as packed: [depth/4,width,4] codes, then what the tile needs of each
/// column.
struct PackedInt8 {
  std::int8_t* codes;
  std::int32_t* offsets;  // [width]
  float* scales;          // [width]
};
PackedInt8 packed_int8(Bf16Bits* memory, std::int64_t depth, std::int64_t width);
/// Room that this takes, in bf16 numbers.
inline std::int64_t packed_int8_numbers(std::int64_t depth, std::int64_t width) {
  return depth * width / 2 + 4 * width;
}
/// Packs rows first … first + depth - 1 (a multiple of 4) of the right operand of an int8 term.
void pack_int8(const ProductTerm& term, std::int64_t first, std::int64_t depth, const PanelColumns& columns,
               const PackedInt8& to);

}  // namespace graft
