#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/cpu/row_view.h"
#include "kernels/half.h"

/// Sums of bf16 matrix products, tile by tile: each tile is summed up in fp32 over all of its terms and
/// handed over while it is in the cache, so that additions to a product cost no pass over memory. Matrices on
/// the right are packed panel by panel, from wherever and however they are stored.
namespace graft {

/// `rows` rows of `columns` numbers from (row, column) on.
struct MatrixBlock {
  std::int64_t row, rows, column, columns;
};

/// A left operand in int8: of every row the codes, 128 more than they are, and the scale that they are
/// multiplied by.
struct Int8Codes {
  at::Tensor codes{};   // [rows, columns rounded up to 4] uint8
  at::Tensor scales{};  // [rows] fp32
};

/// A matrix in int8, value = code * scale of its row, packed for products once and for all (product_int8.h
/// says how).
struct Int8Matrix {
  at::Tensor codes{};           // int8, panel after panel of rows
  at::Tensor scales{};          // [rows rounded up] fp32
  at::Tensor row_offsets{};     // [pieces of columns, rows rounded up] int32
  at::Tensor column_offsets{};  // [pieces of rows, columns rounded up] int32
};

/// A matrix of bf16 numbers that is read block by block.
struct Matrix {
  std::int64_t rows, columns;
  /// The block, where it lies or decoded to scratch [rows,columns]. Called by many threads.
  std::function<RowView<const Bf16Bits>(const MatrixBlock& block, Bf16Bits* scratch)> read;
  /// Blocks are read at multiples of this many columns: the block size of a quantised format.
  std::int64_t column_unit = 1;
  /// Where defined, products are taken with these codes, and nothing is read; column_unit is the width of a
  /// panel.
  Int8Matrix int8{};
};

/// t bf16 [rows,columns], the numbers of a row adjacent.
Matrix matrix_of(const at::Tensor& t);

enum class Side { kAsStored, kTransposed };

/// left [M,K] bf16 times a matrix [K,N], or times the transpose of one stored as [N,K]. K is even; where the
/// matrix has fewer than K, the rest counts as 0. Where the matrix is in int8, left must hold its numbers
/// before any stage runs.
struct ProductTerm {
  at::Tensor left;
  Matrix right;
  Side side = Side::kAsStored;
  Int8Codes left_int8{};  ///< made by run_products where the matrix is in int8
};

/// Part of a sum of products: [rows,columns] fp32 in rows of `width` numbers, from (row, column) on. Who
/// finishes it may overwrite it.
struct Tile {
  float* sums;
  std::int64_t width, row, rows, column, columns;
};

/// One or more sums of products of one shape [rows,columns], finished together: `finish` gets the tile of
/// each part at the same place. It runs on many threads, once for every place.
struct Product {
  std::int64_t rows = 0, columns = 0;
  std::vector<std::vector<ProductTerm>> parts;
  std::function<void(const Tile* parts)> finish{};
  /// bf16 [rows,columns] that `finish` reads or writes: fetched into the cache while a place is summed up.
  std::vector<at::Tensor> touched{};
};

/// Runs the products on all threads as one pool of work. What a tile sums up depends on neither threads nor
/// cut.
void run_products(const std::vector<Product>& products);

/// The same for stages of products with the same number of rows: a product of a later stage may have as left
/// what an earlier one writes when it finishes. Rows go through all stages while they are in the cache.
/// No stage is empty.
void run_stages(const std::vector<std::vector<Product>>& stages);

/// Whether this machine and these dimensions suit run_products: bf16, machine with bf16 products, even sizes.
bool suits_products(const at::Tensor& left, std::int64_t rows, std::int64_t columns);

/// Ready-made ends. y bf16 [rows,columns] = sums + bias [columns] + addend [rows,columns] (either undefined).
std::function<void(const Tile*)> round_to(at::Tensor y, at::Tensor bias = {}, at::Tensor addend = {});
/// y bf16 [rows,columns] = sums, and its transpose [columns, at least rows] too
std::function<void(const Tile*)> round_both_ways_to(at::Tensor y, at::Tensor transpose);
/// `next`, with the sums of part i first multiplied by factors[i] [columns] fp32 where that is defined.
std::function<void(const Tile*)> times_columns(std::vector<at::Tensor> factors,
                                               std::function<void(const Tile*)> next);
/// y fp32 [rows,columns] = sums
std::function<void(const Tile*)> copy_to(at::Tensor y);
/// y fp32 [columns,rows] = factor * sums
std::function<void(const Tile*)> copy_transposed_to(at::Tensor y, float factor);

}  // namespace graft
