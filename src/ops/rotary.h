#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/layout.h"

namespace graft {

/// Angles of rotary embedding for the tokens of a pack, computed once per pass. Positions restart at each
/// start.
struct RotaryTable {
  at::Tensor cos, sin;  ///< [T,E/2], fp32 values rounded to the compute type as Hugging Face rounds them
};

/// frequencies: E/2 angles per position (already scaled as the family's rope scaling says). `offset`:
/// position of the first token (decoding with a cache).
RotaryTable rotary_table(const PackLayout& layout, const std::vector<double>& frequencies,
                         double attention_factor, std::int64_t offset, at::ScalarType dtype);

/// x [T,H,E] -> x with the halves of each head rotated (the "rotate_half" form of Hugging Face). Where the
/// table is narrower than E/2, the first dims of each head are rotated alone and the others stay.
/// Differentiable in x. Source: Su et al., "RoFormer" (2021).
at::Tensor rotary(const at::Tensor& x, const RotaryTable& table);

}  // namespace graft
