#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace graft {

/// gate, up [T,F] -> silu(gate) * up [T,F]. Differentiable in both. In bf16 silu(gate) is rounded before the
/// product. Source: Shazeer, "GLU Variants Improve Transformer" (2020).
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

/// The same without autograd; contiguous tensors.
at::Tensor swiglu_values(const at::Tensor& gate, const at::Tensor& up);
/// {dgate, dup} from dh; contiguous tensors.
std::pair<at::Tensor, at::Tensor> swiglu_gradients(const at::Tensor& gate, const at::Tensor& up,
                                                   const at::Tensor& dh);

}  // namespace graft
