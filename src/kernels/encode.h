#pragma once

#include <cstddef>
#include <span>

#include "kernels/dtype.h"

namespace graft {

/// True for the types that encode_from_f32 takes.
bool can_encode(DType dtype);

/// Encodes weights (a multiple of the block) on the calling thread as any float type but f64, or as one of
/// GGUF's block types: target [weights / traits.values * traits.bytes], the same bytes on every machine.
///
/// Plain types: nearest, ties to even; what is too large for fp16 becomes inf. Q4_0, Q4_1, Q5_0, Q5_1 and
/// Q8_0: bit-equal to the gguf package's quantize. Q2_K to Q6_K: our own search (cpu/k_encode_loops.h), whose
/// squared error is no larger than that of llama.cpp's quantizer without an importance matrix. A block of a
/// finite scale decodes to finite weights; weights that are not finite, or so large that a scale exceeds fp16
/// (65504), give blocks that decode to inf or NaN or to nothing that makes sense: callers check. Sources:
/// gguf's quants.py; ggml-quants.c for Q8_0's rounding; ggml-common.h for the layouts.
void encode_from_f32(DType dtype, std::span<const float> weights, std::byte* target);

/// encode_from_f32 to Q8_0: scale = largest magnitude / 127, rounded to fp16 only after the codes are made;
/// halves away from zero. A block with a weight that is not finite decodes to NaN.
void encode_q8_0(std::span<const float> weights, std::byte* blocks);

}  // namespace graft
