#include "ops/attention_blocks.h"

namespace graft {

std::int64_t AttentionProblem::packed_rows() const {
  const auto& last = segments.back();
  return last.packed_start + padded(last.keys);
}

KeyBlocks visible_keys(const AttentionSegment& segment, std::int64_t first, std::int64_t last,
                       std::int64_t window) {
  const auto earliest = window == 0 ? 0 : std::max<std::int64_t>(0, segment.offset() + first - window + 1);
  return {earliest / kKeyRows, (segment.offset() + last + kKeyRows - 1) / kKeyRows};
}

Tiles tiles_of(const ScoreBlock& block) {
  const auto [rows, columns] = block.shape;
  Tiles result;
  if (block.diagonal + 1 >= columns) {
    result.tiles[result.count++] = {0, rows, columns};
    return result;
  }
  for (std::int64_t row = 0; row < rows; row += kStripRows) {
    const auto strip = std::min(kStripRows, rows - row);
    const auto seen = std::min(columns, padded(block.diagonal + row + strip));
    if (seen > 0) result.tiles[result.count++] = {row, strip, seen};
  }
  return result;
}

}  // namespace graft
