#pragma once

#include "peft/adapter_folder.h"

namespace graft {

/// What rounding did.
struct CastReport {
  std::uint64_t bytes_before = 0, bytes_after = 0;  ///< of all tensors
  double rms_change = 0.0;  ///< of all floating-point values, over their rms; 0: exact
};

/// Writes the adapter with every floating-point tensor rounded once to `dtype` to the new folder `out`; other
/// tensors, config and metadata stay. Errors: a value that is not finite, in itself or in `dtype`
/// (kNumerics); `out` exists (kUsage).
CastReport cast_adapter(const AdapterFolder& adapter, DType dtype, const Path& out);

}  // namespace graft
