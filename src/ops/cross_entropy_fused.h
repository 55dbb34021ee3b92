#pragma once

#include <ATen/core/Tensor.h>

#include "ops/frozen_weight.h"

namespace graft {

/// loss [L] fp32: -log p(target) per row; gradient [L,D] of each row's own loss, in hidden's type; undefined
/// where it is not wanted.
struct LossAndGradient {
  at::Tensor loss, gradient;
};

/// linear_cross_entropy where suits_products(hidden, V, D), without logits in memory: rows go through W block
/// by block as queries go through the keys of attention, with a running softmax (Milakov & Gimelshein 2018),
/// and gradient = sum over v of p_v c_v W_v - c_target W_target is summed up in fp32 on the way, where c = 1
/// - tanh^2 is the soft-cap's derivative (1 where softcap is 0). Logits stay in fp32; p and p c are rounded
/// to bf16 for their product with W. W is packed once, whatever L is.
LossAndGradient fused_cross_entropy(const at::Tensor& hidden, const FrozenWeight& head,
                                    const at::Tensor& targets, double softcap, bool differentiate);

}  // namespace graft
