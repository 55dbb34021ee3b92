#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cpu/cpu_path.h"

namespace graft {

/// Encoding of weights on the calling thread, bit-equal on every path. For callers outside this room:
/// encode_nf4 (kernels/nf4.h) and encode_q8_0 (kernels/encode.h), which say what each does.
struct BlockEncode {
  void (*nf4)(std::span<const float> weights, std::int64_t block, std::byte* codes, float* absmax);
  void (*q8_0)(std::span<const float> weights, std::byte* blocks);
};

const BlockEncode& block_encode(CpuPath path);
/// The table of the best path, found once.
const BlockEncode& block_encode();

/// The tables, one file each.
namespace encode_tables {
extern const BlockEncode kScalar, kAvx2, kAvx512;
}

}  // namespace graft
