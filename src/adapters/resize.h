#pragma once

#include <string>
#include <vector>

#include "peft/adapter_folder.h"

namespace graft {

/// What became of one module's rank.
struct ResizedModule {
  std::string module;
  std::int64_t from = 0;  ///< its rank before
  double kept = 1.0;      ///< share of the sum of squares of B A; 1 where the rank grew
};

/// Writes the adapter with rank `rank` everywhere to the new folder `out`: of parameters of fused experts
/// that of each expert, of gate and up side by side that of each of both. A smaller rank becomes larger by
/// zeros, exactly; a larger one becomes smaller by truncating the SVD of B A. Scales, types and the other
/// tensors stay; the config's r, alpha and patterns follow. A head that is tied to the embedding stays its
/// copy. Errors: check_factors; `out` exists (kUsage).
std::vector<ResizedModule> resize_adapter(const AdapterFolder& adapter, std::int64_t rank, const Path& out);

}  // namespace graft
