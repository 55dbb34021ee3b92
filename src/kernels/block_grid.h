#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/dtype.h"

namespace graft {

/// True for the types whose blocks round_on_grid takes: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K.
bool has_grid(DType dtype);

/// Moves the weights that `blocks` decode to onto `weights` (finite, of the same number) without changing a
/// scale or a minimum: each weight gets one of the two codes beside it, the upper one with the probability of
/// its place between them. Nearest codes would be the old ones wherever a weight changed by less than half a
/// step, and a small change of many weights, as a merged adapter is, would be lost; so it is kept on average.
/// A weight on the grid keeps its code. A block is encoded anew (encode_from_f32) where its weights change by
/// more than kLargeChange steps (root mean square), which nearest codes follow with less noise, where one
/// leaves the grid by more than a step at an end, or where a step is 0. The same bytes for the same `key` everywhere. Source:
/// stochastic rounding, Gupta et al., "Deep Learning with Limited Numerical Precision" (2015).
void round_on_grid(DType dtype, std::span<const float> weights, std::uint64_t key, std::byte* blocks);

}  // namespace graft
