#pragma once

#include <span>
#include <vector>

#include "ops/product.h"

/// How a pool of products is cut into tasks, and a task into pieces that fit the cache.
namespace graft {

inline constexpr std::int64_t kTileRows = 64;
/// Largest depth of a packed piece: 64 columns of it are 192 KiB.
inline constexpr std::int64_t kDepth = 1536;
/// Pieces start at multiples of this: the block size of every quantised format divides it.
inline constexpr std::int64_t kDepthUnit = 256;
/// Packed numbers that a group of pieces may have: 384 KiB, which leaves room in an L2 cache of 1 MiB.
inline constexpr std::int64_t kPanelNumbers = 192 * 1024;

/// Rows and columns of one product that one thread works out.
struct ProductTask {
  const Product* product;
  std::int64_t row, rows, column, columns;
};

struct ProductCut {
  std::int64_t columns = 0;  ///< most columns of a task
  std::int64_t rows = 0;     ///< most rows of a task
  std::vector<ProductTask> tasks{};
};
ProductCut cut_products(const std::vector<Product>& products, std::int64_t threads);

/// A stretch of the depth of one term.
struct ProductPiece {
  const ProductTerm* term;
  std::size_t part;
  std::int64_t first, depth;
  bool opens;  ///< the first piece of its part
};
std::vector<ProductPiece> pieces_of(const Product& product);

/// Runs of pieces that are packed together, `width` columns each.
std::vector<std::span<const ProductPiece>> groups_of(std::span<const ProductPiece> pieces,
                                                     std::int64_t width);

}  // namespace graft
