#pragma once

#include <cstdint>

#include "kernels/cpu/cpu_path.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/row_view.h"

namespace graft {

/// A panel of int8 codes as products of bytes read it: of four rows of the depth, the codes of a column lie
/// together. [depth/4,width,4]; depth is a multiple of 4.
struct Int8Panel {
  std::int8_t* codes;
  std::int64_t depth, width;
};

/// What becomes of a tile of products of bytes: sums [rows,width] of unsigned codes, as quantize_left makes
/// them, with signed ones. `offsets` [width]: what the sums are too large by. The sum belongs to the numbers
/// (sums - offsets) * row_scales[row] * column_scales[column].
struct Int8Tile {
  const std::int32_t* sums;
  const std::int32_t* offsets;
  const float *row_scales, *column_scales;
  std::int64_t rows, width;
};

/// Rows as 8-bit codes, value = scale * code, scale = largest magnitude of the row / 127, and back. Codes are
/// rounded to the nearest, halves to even. A row with a number that is not finite has codes of 0 and the
/// scale NaN, so that every product with it is NaN. Equal bit for bit on every path.
struct Int8Rows {
  /// Rows of a left operand, their columns multiplied by factors [width] first (null: as they are), as codes
  /// + 128. Columns of `to` beyond those of `from` become 128.
  void (*quantize_left)(const RowView<const Bf16>& from, const float* factors,
                        const RowView<std::uint8_t>& to, float* scales);
  /// Rows of a frozen matrix. Columns of `to` beyond those of `from` become 0.
  void (*quantize_right)(const RowView<const float>& from, const RowView<std::int8_t>& to, float* scales);
  /// Rows of a frozen matrix as the panel of its transpose, columns of the panel; zeros where the rows end
  /// before the panel.
  void (*pack)(const RowView<const std::int8_t>& from, const Int8Panel& to);
  /// The transpose of a panel whose rows begin at a multiple of 4: its columns [0, to.depth) become the rows
  /// of `to`, its rows [0, from.depth) the columns; zeros behind them. to.depth: at most from.width.
  void (*turn)(const Int8Panel& from, const Int8Panel& to);
  /// offsets [width] of a packed panel: 128 times the sum of each column.
  void (*offsets)(const Int8Panel& panel, std::int32_t* offsets);
  /// to [rows,to_width] = the numbers of the tile
  void (*set)(const Int8Tile& tile, float* to, std::int64_t to_width);
  /// to [rows,to_width] += the numbers of the tile
  void (*add)(const Int8Tile& tile, float* to, std::int64_t to_width);
};

const Int8Rows& int8_rows(CpuPath path);
/// The table of the best path, found once.
const Int8Rows& int8_rows();

/// The tables, one file each.
namespace int8_tables {
extern const Int8Rows kScalar, kAvx2, kAvx512;
}

}  // namespace graft
