#pragma once

// Dims: T tokens, D width, H heads, K kv heads, E head width, F feed-forward, V vocabulary, R rank.

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "model/adapter.h"
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

struct RmsNorm {
  std::string name;
  at::Tensor weight;  ///< [D]
  double eps = 1e-5;

  /// x [T,D] -> [T,D]
  at::Tensor forward(const at::Tensor& x) const;
  /// x [T,D] normed, as what a group of linears reads.
  LinearInput before(const at::Tensor& x) const;
};

struct Attention {
  LinearGroup qkv;  ///< [T,D] -> [T,H*E], [T,K*E], [T,K*E]
  LinearGroup out;  ///< [T,H*E] -> [T,D]
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  AttentionOptions options;

  /// residual + attention of the input, [T,D]. `layer` is the block's index in pass.cache.
  at::Tensor forward(const LinearInput& input, const at::Tensor& residual, const Pass& pass,
                     std::size_t layer) const;
};

struct Mlp {
  LinearGroup gate_up;  ///< [T,D] -> [T,F], [T,F]
  LinearGroup down;     ///< [T,F] -> [T,D]

  /// residual + MLP of the input, [T,D]
  at::Tensor forward(const LinearInput& input, const at::Tensor& residual, const Pass& pass) const;
};

struct Block {
  RmsNorm input_norm, post_attention_norm;
  Attention attention;
  Mlp mlp;

  /// x [T,D] -> [T,D]
  at::Tensor forward(const at::Tensor& x, const Pass& pass, std::size_t layer) const;
};

}  // namespace graft
