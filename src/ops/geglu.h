#pragma once

#include <ATen/core/Tensor.h>

namespace graft {

/// gate, up [T,F] -> gelu(gate) * up [T,F], gelu in its tanh form. Differentiable in both; keeps nothing
/// else. In bf16 gelu(gate) is rounded before the product. Source: Shazeer, "GLU Variants Improve
/// Transformer" (2020).
at::Tensor geglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace graft
