#pragma once

#include <functional>
#include <vector>

#include "model/config.h"
#include "model/layers.h"
#include "model/options.h"
#include "ops/cross_entropy.h"

namespace graft {

/// A frozen decoder-only language model with slots for adapters.
struct Decoder {
  ModelConfig config;
  at::ScalarType dtype;       ///< of activations
  FrozenWeightPtr embedding;  ///< [V,D]
  std::vector<Block> blocks;
  RmsNorm norm;
  Linear head;  ///< "lm_head" [V,D]; the embedding itself where tied

  /// tokens int64 [T] -> last hidden states after the final norm [T,D]. With pass.caches each sequence goes
  /// on after its cache, which afterwards holds its tokens too.
  at::Tensor hidden(const at::Tensor& tokens, Pass pass) const;
  /// hidden [L,D] -> logits [L,V] fp32. Only for rows that are looked at.
  at::Tensor logits(const at::Tensor& hidden) const;
  /// What is done to logits behind the head.
  LogitOptions logit_options() const;
  /// Calls visit for every group of linears, blocks in order, in each qkv, out, gate_up, down.
  void each_group(const std::function<void(LinearGroup&)>& visit);
  void each_group(const std::function<void(const LinearGroup&)>& visit) const;

 private:
  /// Whether the keys in the cache have the angles of a sequence of another length than `length`.
  bool stale(const KvCache& cache, std::int64_t length) const;
  /// hidden() where a cache is stale: reads all of those sequences again.
  at::Tensor read_again(const at::Tensor& tokens, Pass pass) const;
};

/// The base that the options name, from a Hugging Face folder (weights used in place where the type fits) or
/// a GGUF file (decoded). Errors name file and tensor: missing, misshapen, left over.
Decoder load_model(const ModelOptions& options);

}  // namespace graft
