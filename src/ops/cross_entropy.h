#pragma once

#include <ATen/core/Tensor.h>

#include "ops/frozen_weight.h"

namespace graft {

/// What is done to logits: times `scale`, then cap * tanh(logit / cap).
struct LogitOptions {
  double scale = 1.0;
  double softcap = 0.0;  ///< 0 = off
};

/// hidden [L,D] of the rows that have a target, head W [V,D], targets int64 [L] -> -log p(target) per row,
/// [L] fp32. Logits exist only a block at a time, and the gradient is written in the same pass and kept as
/// [L,D] in hidden's type; see cross_entropy_fused.h for bf16. Differentiable in hidden. Error where a target
/// is outside [0,V).
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const FrozenWeightPtr& head,
                                const at::Tensor& targets, const LogitOptions& options = {});

}  // namespace graft
