#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/cpu/cpu_path.h"

namespace graft {

/// Encoding of weights on the calling thread, bit-equal on every path. For callers outside this room:
/// encode_nf4 (kernels/nf4.h) and encode_from_f32 (kernels/encode.h), which say what each does.
struct BlockEncode {
  void (*nf4)(std::span<const float> weights, std::int64_t block, std::byte* codes, float* absmax);
  using Encode = void (*)(std::span<const float> weights, std::byte* blocks);
  Encode q8_0, q4_0, q4_1, q5_0, q5_1, q2_k, q3_k, q4_k, q5_k, q6_k;
};

const BlockEncode& block_encode(CpuPath path);
/// The table of the best path, found once.
const BlockEncode& block_encode();

/// The tables, one file each.
namespace encode_tables {
extern const BlockEncode kScalar, kAvx2, kAvx512;
}

}  // namespace graft
