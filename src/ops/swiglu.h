#pragma once

#include <ATen/core/Tensor.h>

namespace graft {

/// gate, up [T,F] -> silu(gate) * up [T,F]. Differentiable in both. In bf16 silu(gate) is rounded before the product.
/// Source: Shazeer, "GLU Variants Improve Transformer" (2020).
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace graft
