#pragma once

#include "ops/quantized_weight.h"
#include "store/tensor_view.h"

namespace graft {

/// A matrix [out,in] as its file has it.
struct StoredMatrix {
  const TensorView* view;  ///< floats or blocks
  std::int64_t head_dim =
      0;  ///< > 0: its rows lie in pairs within heads of so many rows (families.h, paired_row)
};

/// The matrix encoded on all threads from its values rounded to bf16. The file's pages are let go behind it,
/// so that memory holds the result and a few rows. in: a multiple of block_of(format).
FrozenWeightPtr quantize(const StoredMatrix& matrix, WeightFormat format, at::ScalarType dtype);

/// The matrix, its values rounded to bf16, for products in int8: nothing but the codes stays in memory,
/// rows() reads the file. `owner` keeps it mapped.
FrozenWeightPtr compute_int8(const StoredMatrix& matrix, std::shared_ptr<const void> owner);

/// The blocks or floats of the file itself. `owner` keeps them mapped.
FrozenWeightPtr keep_blocks(const StoredMatrix& matrix, std::shared_ptr<const void> owner,
                            at::ScalarType dtype);

}  // namespace graft
