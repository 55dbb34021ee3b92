#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace graft {

/// A frozen product of a training step: x [rows,in] W [out,in]^T forward, dy [rows,out] W backward.
struct ProductShape {
  std::int64_t rows, out, in;
  double count = 1.0;  ///< how often a step does it; need not be whole (the head, cut into chunks of rows)

  /// A multiply-add is 2; forward and backward together.
  double flops() const;
};

/// The products of the frozen base in one micro-step of `tokens` tokens, of which `loss_rows` have a target:
/// every linear of the blocks, and the head a chunk of rows at a time, as linear_cross_entropy does it. The
/// share of work that GEMM rates are weighted by. Source: reference/performance.md 2.1.
std::vector<ProductShape> base_products(const ModelConfig& config, std::int64_t tokens,
                                        std::int64_t loss_rows);

/// The large shape that rates of machines are quoted at: 2,048 rows, 2,048 out, 8,192 in.
inline constexpr ProductShape kLargeProduct{.rows = 2048, .out = 2048, .in = 8192};

/// This machine's rate at these shapes, FLOP/s weighted by FLOPs: at::linear and at::mm, each shape at least
/// once after a warm-up, then round after round until `seconds` are spent; medians. A shape of more than 32
/// GFLOP or a weight of more than 128 M numbers is measured on fewer rows: the rate is that of many rows
/// already.
double probe_gemm(const std::vector<ProductShape>& shapes, at::ScalarType dtype, double seconds = 1.0);

}  // namespace graft
