#include "ops/product_cut.h"

#include <algorithm>
#include <array>

#include "kernels/cpu/attention_rows.h"
#include "ops/product_int8.h"

namespace graft {
namespace {

constexpr std::int64_t kLeastRows = 256;      // fewer are not worth packing the right matrix again
constexpr std::int64_t kMostDeepRows = 1024;  // their sums, 64 columns wide, are 256 KiB
constexpr std::int64_t kTasksPerThread = 4;
constexpr std::int64_t kLastRows = 32;  // of the last stretches: less than a tile
constexpr std::int64_t kShare = 2;  // a stretch of rows is a thread's share of those left, divided by this
constexpr std::int64_t kLeftNumbers = 256 * 1024;  // of a stretch of rows: 512 KiB
constexpr std::int64_t kRoundDepth = 4096;         // of a deep product

std::int64_t rounded_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

// The depth of each piece, none above `most`.
std::int64_t evenly_cut(std::int64_t depth, std::int64_t most) {
  const auto count = (depth + most - 1) / most;
  return rounded_up((depth + count - 1) / count, kDepthUnit);
}

// Columns of a task and how near its products come to the rate of the widest.
struct Width {
  std::int64_t columns;
  double rate;
};
constexpr std::array<Width, 3> kWidths{{{kTileColumns, 1.0}, {48, 0.98}, {32, 0.90}}};

bool fits_units(const Product& product, std::int64_t columns) {
  for (const auto& part : product.parts)
    for (const auto& term : part)
      if (columns % term.right.column_unit != 0) return false;
  return true;
}

// The share of threads times columns that is not idle and not padding, times the rate.
double yield_of(const std::vector<Product>& products, const Width& width, std::int64_t threads) {
  std::int64_t tasks = 0, columns = 0;
  for (const auto& product : products) {
    if (!fits_units(product, width.columns)) return 0;
    tasks += rounded_up(product.columns, width.columns) / width.columns;
    columns += product.columns;
  }
  return width.rate * static_cast<double>(columns) /
         static_cast<double>(rounded_up(tasks, threads) * width.columns);
}

std::int64_t depth_of(const Product& product) {
  std::int64_t depth = 0;
  for (const auto& part : product.parts)
    for (const auto& term : part) depth += term.left.size(1);
  return depth;
}

std::int64_t rows_of_column_tasks(const Product& product, std::int64_t columns, std::int64_t column_tasks,
                                  std::int64_t threads) {
  const auto chunks = std::max<std::int64_t>(1, kTasksPerThread * threads / column_tasks);
  auto rows = rounded_up((product.rows + chunks - 1) / chunks, kTileRows);
  rows = std::max(rows, kLeastRows);
  if (depth_of(product) * columns > kPanelNumbers) rows = std::min(rows, kMostDeepRows);
  return std::min(rows, product.rows);
}

// The panels of one product, in the order of their columns; of a deep one, those of each stretch of depth
// after those of the stretch before.
std::vector<Panel> panels_of(const Product& product) {
  const auto pieces = pieces_of(product);
  std::vector<std::span<const ProductPiece>> stretches{pieces};
  if (product.parts.size() == 1 && depth_of(product) > kDeep)
    stretches = groups_of(pieces, kPanelNumbers / kRoundDepth);
  std::vector<Panel> panels;
  for (std::size_t i = 0; i < stretches.size(); ++i)
    for (std::int64_t column = 0; column < product.columns; column += kTileColumns) {
      const auto columns = std::min(kTileColumns, product.columns - column);
      panels.push_back({.product = &product,
                        .column = column,
                        .columns = columns,
                        .width = rounded_up(columns, kBlockStep),
                        .pieces = {stretches[i].begin(), stretches[i].end()},
                        .is_part = stretches.size() > 1,
                        .closes = i + 1 == stretches.size(),
                        .packed = 0});
    }
  return panels;
}

}  // namespace

ColumnCut cut_columns(const std::vector<Product>& products, std::int64_t threads) {
  const auto best =
      std::max_element(kWidths.begin(), kWidths.end(), [&](const Width& left, const Width& right) {
        return yield_of(products, left, threads) < yield_of(products, right, threads);
      });
  ColumnCut cut{.columns = best->columns};
  std::int64_t column_tasks = 0;
  for (const auto& product : products) column_tasks += rounded_up(product.columns, cut.columns) / cut.columns;
  for (const auto& product : products) {
    const auto rows = rows_of_column_tasks(product, cut.columns, column_tasks, threads);
    cut.rows = std::max(cut.rows, rows);
    for (std::int64_t column = 0; column < product.columns; column += cut.columns)
      for (std::int64_t row = 0; row < product.rows; row += rows)
        cut.tasks.push_back({&product, row, std::min(rows, product.rows - row), column,
                             std::min(cut.columns, product.columns - column)});
  }
  return cut;
}

std::int64_t int8_depth(std::int64_t depth) { return evenly_cut(depth, 2 * kDepth); }

std::vector<ProductPiece> pieces_of(const Product& product) {
  std::vector<ProductPiece> pieces;
  for (std::size_t part = 0; part < product.parts.size(); ++part) {
    bool opens = true;
    for (const auto& term : product.parts[part]) {
      const auto depth = term.left.size(1),
                 each = is_int8(term) ? int8_depth(depth) : evenly_cut(depth, kDepth);
      for (std::int64_t first = 0; first < depth; first += each, opens = false)
        pieces.push_back({&term, part, first, std::min(each, depth - first), opens});
      // Bytes are multiplied by fours; codes are filled up with zeros.
      if (is_int8(term)) pieces.back().depth = rounded_up(pieces.back().depth, 4);
    }
  }
  return pieces;
}

std::int64_t packed_numbers(const ProductPiece& piece, std::int64_t width) {
  return is_int8(*piece.term) ? packed_int8_numbers(piece.depth, width) : piece.depth * width;
}

std::vector<std::span<const ProductPiece>> groups_of(std::span<const ProductPiece> pieces,
                                                     std::int64_t width) {
  std::vector<std::span<const ProductPiece>> groups;
  std::size_t first = 0;
  std::int64_t numbers = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto more = packed_numbers(pieces[i], width);
    if (i > first && numbers + more > kPanelNumbers) {
      groups.push_back(pieces.subspan(first, i - first));
      first = i, numbers = 0;
    }
    numbers += more;
  }
  groups.push_back(pieces.subspan(first));
  return groups;
}

std::vector<Round> cut_rounds(const std::vector<std::vector<Product>>& stages) {
  std::vector<Round> rounds(1);
  for (const auto& stage : stages)
    for (const auto& product : stage)
      for (auto& panel : panels_of(product)) {
        std::int64_t numbers = 0;
        for (const auto& piece : panel.pieces) numbers += packed_numbers(piece, panel.width);
        if (!rounds.back().panels.empty() && rounds.back().numbers + numbers > kSharedNumbers)
          rounds.emplace_back();
        Round& round = rounds.back();
        panel.packed = round.numbers;
        round.numbers += numbers;
        round.panels.push_back(std::move(panel));
      }
  return rounds;
}

std::vector<RowRange> cut_rows(const std::vector<std::vector<Product>>& stages, std::int64_t threads) {
  std::int64_t depth = 1;
  for (const auto& stage : stages)
    for (const auto& product : stage) depth = std::max(depth, std::min(depth_of(product), kRoundDepth));
  const auto most = kLeftNumbers / depth;
  const auto rows = stages.front().front().rows;
  std::vector<RowRange> tasks;
  for (std::int64_t first = 0; first < rows; first += tasks.back().count) {
    const auto fair = std::min(most, (rows - first) / (kShare * threads));
    const auto whole = fair >= kTileRows ? fair / kTileRows * kTileRows : kLastRows;
    tasks.push_back({first, std::min(whole, rows - first)});
  }
  return tasks;
}

}  // namespace graft
