#pragma once

#include <ATen/core/Tensor.h>

namespace graft {

/// x [T,D] (or [...,D]), weight [D] -> x / rms(x) * weight, in x's type. Statistics in fp32; in bf16 the
/// normed x is rounded before its weight, as Hugging Face's LlamaRMSNorm does; with an fp32 weight the
/// product is rounded instead, as Gemma's and OLMo 2's norms do. Differentiable in x. Source: Zhang &
/// Sennrich, "Root Mean Square Layer Normalization" (2019).
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// The same without autograd, and what its gradient needs.
struct RmsNormValues {
  at::Tensor y;     ///< as x
  at::Tensor rstd;  ///< [rows] 1 / rms, fp32 (fp64 for fp64)
};
RmsNormValues rms_norm_values(const at::Tensor& x, const at::Tensor& weight, double eps);
/// dx from dy, contiguous tensors.
at::Tensor rms_norm_gradient(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                             const at::Tensor& dy);

}  // namespace graft
