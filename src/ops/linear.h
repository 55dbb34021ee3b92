#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/frozen_weight.h"
#include "ops/layout.h"

namespace graft {

/// x [T,in] -> x W^T + bias [T,out]. bias [out] or undefined. Differentiable in x only: dx = dy W.
at::Tensor linear(const at::Tensor& x, const FrozenWeightPtr& weight, const at::Tensor& bias);

/// One linear of a group that shares its input, with its low-rank addition or without.
struct LoraTerm {
  FrozenWeightPtr weight{};
  at::Tensor bias{};         ///< [out] or undefined
  at::Tensor a{};            ///< [R,in] fp32, or undefined: a frozen linear alone
  at::Tensor b{};            ///< [out,R] fp32
  double scale = 1.0;
  std::uint64_t module = 0;  ///< key of the module's dropout mask
};

/// The dropout of one pass over one pack.
struct LoraDropout {
  double probability = 0.0;
  DropoutKey key;
  PackLayout layout;
};

/// ys[i] [T,out_i] = x W_i^T + bias_i + scale_i * drop_i(x) A_i^T B_i^T for linears that share x [T,in].
/// A and scale * B are rounded to x's type for the products, as are x A^T and dy B. Gradients of a and b are fp32; in
/// bf16 each micro-step's product is accumulated in fp32 and rounded once to bf16 on the way (libtorch has no other).
/// Differentiable in x, a and b; never forms dW or B A. With dropout, each term has its own mask, scaled by 1/(1-p).
/// Source: Hu et al., "LoRA" (2021), eq. 3; products ordered as in RunLoRA (dA = (dy B)^T x, dB = dy^T (x A^T)).
std::vector<at::Tensor> lora_linear(const at::Tensor& x, const std::vector<LoraTerm>& terms,
                                    const std::optional<LoraDropout>& dropout);

}  // namespace graft
