#pragma once

#include <span>
#include <vector>

#include "ops/product.h"

/// How a pool of products is cut into work for threads and into pieces that fit the caches.
namespace graft {

inline constexpr std::int64_t kTileRows = 64;
inline constexpr std::int64_t kTileColumns = 64;
/// Largest depth of a packed piece: 64 columns of it are 192 KiB.
inline constexpr std::int64_t kDepth = 1536;
/// The same of an int8 term of this depth, in bytes as many.
std::int64_t int8_depth(std::int64_t depth);
/// Pieces start at multiples of this: the block size of every quantised format divides it.
inline constexpr std::int64_t kDepthUnit = 256;
/// Packed numbers that one thread keeps at a time: 384 KiB, which leaves room in an L2 cache of 1 MiB.
inline constexpr std::int64_t kPanelNumbers = 192 * 1024;
/// Packed numbers that all threads share at a time: 8 MiB, part of an L3 cache.
inline constexpr std::int64_t kSharedNumbers = 4 * 1024 * 1024;

/// A stretch of the depth of one term.
struct ProductPiece {
  const ProductTerm* term;
  std::size_t part;
  std::int64_t first, depth;  ///< depth: of an int8 term a multiple of 4
  bool opens;                 ///< the first piece of its part
};
std::vector<ProductPiece> pieces_of(const Product& product);
/// Room that a piece takes when it is packed, `width` columns wide.
std::int64_t packed_numbers(const ProductPiece& piece, std::int64_t width);
/// Runs of pieces that are packed together, `width` columns each.
std::vector<std::span<const ProductPiece>> groups_of(std::span<const ProductPiece> pieces,
                                                     std::int64_t width);

/// Few rows for the threads there are: each task packs its own columns. Rows and columns of one product.
struct ColumnTask {
  const Product* product;
  std::int64_t row, rows, column, columns;
};
struct ColumnCut {
  std::int64_t columns = 0;  ///< most columns of a task
  std::int64_t rows = 0;     ///< most rows of a task
  std::vector<ColumnTask> tasks{};
};
ColumnCut cut_columns(const std::vector<Product>& products, std::int64_t threads);

/// Many rows: the right matrices are packed once, by all threads, in rounds that fit kSharedNumbers; then
/// each task takes a stretch of rows, which stays in its L2 cache, through all panels of the round.
struct Panel {
  const Product* product;
  std::int64_t column, columns, width;  ///< width: columns, padded
  std::vector<ProductPiece> pieces;
  bool is_part;         ///< of its depth: the sums are kept for another round …
  bool closes;          ///< … unless these are the last pieces
  std::int64_t packed;  ///< where its first piece begins in the shared memory; the others follow
};
struct Round {
  std::vector<Panel> panels;
  std::int64_t numbers = 0;  ///< packed
};
/// Panels keep the order of the stages. A product of one part deeper than kDeep is summed up over several
/// rounds.
inline constexpr std::int64_t kDeep = 16384;
std::vector<Round> cut_rounds(const std::vector<std::vector<Product>>& stages);

struct RowRange {
  std::int64_t first, count;
};
/// Stretches of rows in the order in which threads take them: long ones first, so that threads end together.
std::vector<RowRange> cut_rows(const std::vector<std::vector<Product>>& stages, std::int64_t threads);

}  // namespace graft
