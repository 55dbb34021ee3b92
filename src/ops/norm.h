#pragma once

#include <ATen/core/Tensor.h>

namespace graft {

/// x [T,D] (or [...,D]), weight [D] -> x / rms(x) * weight, in x's type. Statistics in fp32; in bf16 the normed x is
/// rounded before its weight, as Hugging Face's LlamaRMSNorm does. Differentiable in x.
/// Source: Zhang & Sennrich, "Root Mean Square Layer Normalization" (2019).
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

}  // namespace graft
