#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/nf4.h"
#include "ops/frozen_weight.h"

namespace graft {

/// A matrix in blocks of a GGUF type, or in floats of any width, as they lie in a file or in memory.
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

/// The formats that weights are encoded in here.
enum class WeightFormat { kNf4, kQ8_0 };
/// Weights in one block: what `in` must be a multiple of.
std::int64_t block_of(WeightFormat format);

/// W encoded on all threads, piece by piece, so that no more than a few rows of it exist otherwise.
/// `read_rows(first, last, values)` writes rows first … last - 1 [last-first,in]; called by many threads.
/// NF4: blocks of 64, scales quantised again, as bitsandbytes does by default.
FrozenWeightPtr encode_weight(
    WeightFormat format, std::int64_t out, std::int64_t in,
    const std::function<void(std::int64_t first, std::int64_t last, float* values)>& read_rows,
    at::ScalarType dtype);

}  // namespace graft
