#pragma once

#include <cstddef>
#include <span>

namespace graft {

/// Encodes weights (a multiple of 32) as GGUF's Q8_0: blocks [weights / 32 * 34 bytes], bit-equal to the gguf
/// package and ggml's reference: scale = largest magnitude / 127, rounded to fp16 only after the codes are
/// made; halves away from zero. A block with a weight that is not finite decodes to NaN. Source: ggml-quants,
/// quantize_row_q8_0_ref.
void encode_q8_0(std::span<const float> weights, std::byte* blocks);

}  // namespace graft
