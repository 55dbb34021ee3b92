#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/nf4.h"
#include "ops/frozen_weight.h"

namespace graft {

/// A matrix in blocks of a GGUF type, as they lie in a file or in memory.
struct BlockMatrix {
  DType dtype = DType::kQ8_0;
  std::int64_t out = 0, in = 0;         ///< in: a multiple of the type's block
  std::span<const std::byte> blocks{};  ///< row after row
  /// Row i of W is stored row order[i]; empty: in order. GGUF stores q and k of some families in pairs.
  std::vector<std::int32_t> order{};
};

/// W decoded panel by panel inside each product to bf16. `owner` keeps the blocks alive. dtype: what look_up
/// gives.
FrozenWeightPtr block_weight(BlockMatrix matrix, std::shared_ptr<const void> owner, at::ScalarType dtype);

/// The same for NF4. The view stays valid as long as `owner` lives.
FrozenWeightPtr nf4_weight(std::int64_t out, std::int64_t in, const Nf4View& view,
                           std::shared_ptr<const void> owner, at::ScalarType dtype);

}  // namespace graft
