#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/block_grid.h"  // has_grid, round_on_grid: for what is changed
#include "kernels/dtype.h"
#include "kernels/encode.h"  // can_encode, encode_from_f32: for what is written

namespace graft {

/// A tensor on disk, or in memory on its way there: bytes of a known type and shape, row-major. Does not own
/// the bytes.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  ///< torch order, outermost first
  std::span<const std::byte> bytes;

  std::int64_t elements() const;
  /// "[576, 1536]" for messages.
  std::string shape_text() const;
};

/// The values of a float or quantised tensor as fp32. Error where the type holds no floats.
std::vector<float> decode(const TensorView& tensor);

}  // namespace graft
