#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "store/tensor_view.h"

namespace graft {

/// One tensor on its way from a file into memory.
struct DecodeJob {
  const TensorView* view;  ///< floats or blocks
  std::int64_t head_dim =
      0;              ///< > 0: its rows lie in pairs within heads of this many rows (families.h, paired_row)
  at::Tensor target;  ///< bf16 or fp32, contiguous, of the view's shape
};

/// Fills every target from its view on all of libtorch's threads; bf16 by one rounding to nearest even.
void decode_all(const std::vector<DecodeJob>& jobs);

}  // namespace graft
