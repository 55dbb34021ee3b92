#pragma once

#include <ATen/core/Tensor.h>

#include "ops/frozen_weight.h"

namespace graft {

/// hidden [L,D] of the rows that have a target, head W [V,D], targets int64 [L] -> -log p(target) per row,
/// [L] fp32. Logits exist only a chunk of rows at a time; the gradient is written in the same pass and kept
/// as [L,D]. In bf16 a logit is rounded once to bf16, as Hugging Face's lm_head leaves it; the rest is fp32,
/// and the gradient of a logit is rounded to bf16 before its product with W. Differentiable in hidden. Error
/// where a target is outside [0,V).
at::Tensor linear_cross_entropy(const at::Tensor& hidden, const FrozenWeightPtr& head,
                                const at::Tensor& targets);

}  // namespace graft
