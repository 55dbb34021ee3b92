#pragma once

#include <functional>

#include "ops/frozen_weight.h"

namespace graft {

/// The same matrix, whose products of many rows are taken in int8: weights as codes with a scale for every
/// row, left operands quantised row by row while it runs. rows() and look_up() give the original's numbers.
/// Needs multiplies_int8().
FrozenWeightPtr int8_weight(FrozenWeightPtr original);

/// A matrix [out,in] whose numbers are read from elsewhere when they are asked for.
struct WeightSource {
  std::int64_t out, in;
  /// Rows first … last-1 [last-first,in] fp32; called by many threads.
  std::function<at::Tensor(std::int64_t first, std::int64_t last)> read_rows;
  /// Called after rows were read, for the memory that this took.
  std::function<void()> release;
};
/// The same of such a matrix: nothing but the codes stays in memory. look_up gives bf16.
FrozenWeightPtr int8_weight(WeightSource source);

/// Rates of products with one matrix forth and back, packing and quantisation included, FLOP/s.
struct ProductRates {
  double bf16 = 0, int8 = 0;
};
/// Both as run_products takes them: x [rows,in] W^T and dy [rows,out] W in turn, for `seconds` in all, for up
/// to ten times as long while int8 seems to gain too little; the fastest of each kind. int8: 0 where
/// multiplies_int8() is false; both 0 where bf16 products are missing.
ProductRates probe_products(std::int64_t rows, std::int64_t out, std::int64_t in, double seconds = 0.2);

/// How much faster than bf16 int8 must be to be worth its rounding.
inline constexpr double kLeastInt8Gain = 1.5;
/// Error (kResource), which says both rates: int8 is missing on this machine or gains less.
void check_int8_gain(const ProductRates& rates);

}  // namespace graft
