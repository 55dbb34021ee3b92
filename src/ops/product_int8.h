#pragma once

#include <vector>

#include "ops/product_cut.h"

/// Terms of products that are taken in int8. A frozen matrix lies in panels of kTileColumns of its rows, each
/// [columns/4,rows,4], ready for x W^T; for dy W its squares of four by four codes are turned on the way.
/// Left operands are quantised row by row, once for all products that read them.
namespace graft {

inline bool is_int8(const ProductTerm& term) { return term.right.int8.codes.defined(); }
bool any_int8(const std::vector<std::vector<Product>>& stages);

/// A left operand and its codes to be. Of a matrix as stored, whose scales lie along the depth, the scales
/// are multiplied into the left operand.
struct LeftInInt8 {
  at::Tensor left;     // [T,K] bf16
  at::Tensor factors;  // [K] fp32 or undefined
  Int8Codes codes;     // rows are filled up to a step with whatever, columns with zeros
};
/// The left operands of all int8 terms, each once; the terms get room for their codes.
std::vector<LeftInInt8> lefts_in_int8(std::vector<std::vector<Product>>& stages);
/// Quantises `count` rows.
void quantize_rows(const LeftInInt8& left, std::int64_t first, std::int64_t count);

/// values fp32 [rows,columns] for rows [first, last) of a matrix of this size -> its codes. `read_rows` is
/// called by many threads.
Int8Matrix quantize_matrix(std::int64_t rows, std::int64_t columns,
                           const std::function<at::Tensor(std::int64_t first, std::int64_t last)>& read_rows);

/// Columns of a right matrix, packed `width` wide.
struct PanelColumns {
  std::int64_t first, count, width;
};
/// A stretch of the depth of a term as packed: [depth/4,width,4] codes, and what the tile needs of each
/// column.
struct PackedInt8 {
  const std::int8_t* codes;
  const std::int32_t* offsets;  // [width]
  const float* scales;          // [width]
};
/// Room that this takes, in bf16 numbers.
inline std::int64_t packed_int8_numbers(std::int64_t depth, std::int64_t width) { return depth * width / 2; }
/// Puts the right operand of an int8 piece into `memory`, where it does not lie as products want it.
void pack_int8(const ProductPiece& piece, const PanelColumns& columns, Bf16Bits* memory);
/// Where it is then.
PackedInt8 packed_int8(const ProductPiece& piece, const PanelColumns& columns, const Bf16Bits* memory);

}  // namespace graft
