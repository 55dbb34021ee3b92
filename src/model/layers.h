#pragma once

// Dims: T tokens, D width, H heads, K kv heads, E head width, F feed-forward, V vocabulary, R rank.

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

#include "model/adapter.h"
#include "model/config.h"
#include "model/pass.h"
#include "ops/attention.h"

namespace graft {

/// Linears that share one input, and the adapter over them where there is one.
struct LinearGroup {
  std::vector<Linear> linears;
  std::shared_ptr<const Adapter> adapter;

  /// h [T,in] -> one [T,out] per linear, and what `output` asks for besides.
  std::vector<at::Tensor> forward(const LinearInput& input, const Pass& pass,
                                  const LinearOutput& output = {}) const;
};

/// Absent where it has no weight: then it gives what it is given.
struct RmsNorm {
  std::string name;
  at::Tensor weight;  ///< [D] as Hugging Face stores it
  at::Tensor gain;    ///< [D] what the normed x is multiplied by; fp32 where the product is taken in fp32
  double eps = 1e-5;

  bool present() const { return weight.defined(); }
  /// x [...,D] -> [...,D]
  at::Tensor forward(const at::Tensor& x) const;
  /// x [T,D] normed, as what a group of linears reads.
  LinearInput before(const at::Tensor& x) const;
};

struct Attention {
  LinearGroup qkv;         ///< [T,D] -> [T,H*E], [T,K*E], [T,K*E], or the three side by side
  LinearGroup out;         ///< [T,H*E] -> [T,D]
  RmsNorm q_norm, k_norm;  ///< over each head [E], or over all [H*E], [K*E]
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  std::int64_t rope = 0;  ///< index in pass.rotary; -1: not rotated
  AttentionOptions options;

  /// residual (or nothing where it is undefined) + attention of the input, [T,D]. `layer` is the block's
  /// index in pass.caches.
  at::Tensor forward(const LinearInput& input, const at::Tensor& residual, const Pass& pass,
                     std::size_t layer) const;

 private:
  /// One of q and k [T,heads*E] normed and rotated -> [T,heads,E]
  at::Tensor prepared(const at::Tensor& x, const RmsNorm& norm, const Pass& pass) const;
  /// Each sequence's q [t,H,E] against its cache and its own k, v [t,K,E], which go into the cache ->
  /// [T,H,E].
  at::Tensor decoded(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Pass& pass,
                     std::size_t layer) const;
};

struct Mlp {
  LinearGroup gate_up;  ///< [T,D] -> [T,F], [T,F], or both side by side
  LinearGroup down;     ///< [T,F] -> [T,D]
  Activation activation = Activation::kSilu;

  /// residual (or nothing) + MLP of the input, [T,D]
  at::Tensor forward(const LinearInput& input, const at::Tensor& residual, const Pass& pass) const;

 private:
  LinearInput gated(const LinearInput& input, const Pass& pass) const;
};

/// x + attention, then + MLP, each with a norm of what it reads, of what it gives, or both.
struct Block {
  RmsNorm before_attention, after_attention, before_mlp, after_mlp;
  Attention attention;
  Mlp mlp;
  double residual_multiplier = 1.0;  ///< of what a branch adds

  /// x [T,D] -> [T,D]
  at::Tensor forward(const at::Tensor& x, const Pass& pass, std::size_t layer) const;
  /// Calls visit for every norm that is there.
  void each_norm(const std::function<void(RmsNorm&)>& visit);
  void each_norm(const std::function<void(const RmsNorm&)>& visit) const;
};

}  // namespace graft
