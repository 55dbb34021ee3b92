#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <span>
#include <vector>

#include "kernels/cpu/attention_rows.h"
#include "ops/product_cut.h"
#include "ops/product_int8.h"
#include "ops/units.h"

/// The two kinds of tasks of run_products, on the calling thread.
namespace graft {

/// The right matrices of a round, packed into one memory.
class SharedPanels {
 public:
  explicit SharedPanels(const Round& round);

  struct Piece {
    const Panel* panel;
    const ProductPiece* piece;
    Bf16Bits* packed;  ///< [depth, panel width], or room for pack_int8
  };
  const std::vector<Panel>& panels() const { return round_.panels; }
  /// In the order of the panels.
  std::span<const Piece> pieces() const { return pieces_; }

 private:
  const Round& round_;
  at::Tensor memory_;
  std::vector<Piece> pieces_;
};

/// Sums of a tile: rows of `width` numbers.
struct TileSums {
  float* data;
  std::int64_t width;
};

/// The sums of products whose depth is cut into rounds, which grow from round to round.
class DeepSums {
 public:
  explicit DeepSums(const std::vector<Round>& rounds);
  /// The sums of a panel from a row on; null where its depth is not cut.
  TileSums at(const Panel& panel, std::int64_t row) const;

 private:
  std::map<const Product*, at::Tensor> sums_;
};

/// What one thread needs room for: numbers that it packs for itself, and sums of its tiles.
struct WorkerSpace {
  std::int64_t panels = 0, sums = 0;
};

class ProductWorker {
 public:
  /// memory: bytes(space) of it.
  ProductWorker(const WorkerSpace& space, std::byte* memory);
  static std::int64_t bytes(const WorkerSpace& space);

  void run(const ColumnTask& task);
  void pack(const SharedPanels::Piece& piece);
  /// Takes these rows through all panels.
  void run(const SharedPanels& shared, const DeepSums& deep, const RowRange& all);

 private:
  void pack(const ProductPiece& piece, const PanelColumns& columns, Bf16Bits* to);
  void add_product(const ProductPiece& piece, const PanelColumns& columns, const Bf16Bits* packed,
                   const RowRange& rows, const TileSums& to);
  void add_int8_product(const ProductPiece& piece, const PanelColumns& columns, const Bf16Bits* packed,
                        const RowRange& rows, const TileSums& to);
  void finish(const Product& product, const Tile& first, std::int64_t part_numbers);

  Bf16Bits* panels_;   // packed pieces of a group, [depth, width] each
  Bf16Bits* decoded_;  // a block of a stored matrix
  Bf16Bits* left_;     // rows of a left matrix where they do not fill a step
  float* sums_;
  std::int32_t* int8_sums_;  // of one tile
  std::vector<Tile> tiles_;
};

}  // namespace graft
