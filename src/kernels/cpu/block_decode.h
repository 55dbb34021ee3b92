#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/cpu_path.h"
#include "kernels/dtype.h"
#include "kernels/nf4.h"

namespace graft {

/// Decodes weights first … first + count - 1 (multiples of 32) of a row of GGUF blocks to bf16; bytes and
/// target at any address.
using DecodeRun = void (*)(const std::byte* blocks, std::int64_t first, std::int64_t count, Bf16Bits* out);
/// What first and count of a DecodeRun are multiples of: in every format, 32 weights can be decoded alone.
inline constexpr std::int64_t kDecodeUnit = 32;
/// Decodes weights first … first + count - 1 of a tensor to bf16; fastest where first is the start of a
/// block.
using DecodeNf4Run = void (*)(const Nf4View& weights, std::int64_t first, std::int64_t count, Bf16Bits* out);

/// Decoding of frozen weights inside a matrix product, on the calling thread. Each equals decoding to fp32
/// (decode_to_f32, decode_nf4) and rounding to nearest even, bit for bit; which NaN comes out of an infinite
/// scale is the machine's choice.
struct BlockDecode {
  DecodeRun q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k, q8_k, iq4_nl, iq4_xs;
  DecodeNf4Run nf4;

  /// The function for a GGUF block type; null for other types.
  DecodeRun run(DType dtype) const;
};

const BlockDecode& block_decode(CpuPath path);
/// The table of the best path, found once.
const BlockDecode& block_decode();

/// The tables, one file each.
namespace block_tables {
extern const BlockDecode kScalar, kAvx2, kAvx512;
}

}  // namespace graft
