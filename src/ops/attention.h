#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "ops/layout.h"

namespace graft {

struct AttentionOptions {
  double scale = 1.0;       ///< of q k^T; 1/sqrt(E) in most families
  std::int64_t window = 0;  ///< tokens a query sees, itself included; 0 = all before it
  double softcap = 0.0;     ///< scores become cap * tanh(score / cap); 0 = off
};

/// Causal attention inside each sequence of the pack; no token sees another sequence.
/// q [T,H,E], k and v [T,K,E] (H a multiple of K: K and V are never expanded) -> [T,H,E]. Differentiable in
/// q, k, v. Scores and softmax in fp32; probabilities and the result are rounded to q's type. Nothing of size
/// T*T is kept. Source: Dao et al., "FlashAttention" (2022), algorithms 1 and 4 of the second paper.
at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackLayout& layout,
                     const AttentionOptions& options);

/// The last t of S positions attend to all before them: q [t,H,E], k and v [S,K,E] -> [t,H,E]. No gradient.
at::Tensor attention_cached(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionOptions& options);

}  // namespace graft
