#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "ops/layout.h"
#include "ops/rotary.h"

namespace graft {

/// Keys and values of the tokens seen so far, one pair per block. Grows as tokens are decoded.
struct KvCache {
  std::vector<at::Tensor> keys, values;  ///< [capacity,K,E] each, of which the first `length` are filled
  std::int64_t length = 0;
  std::vector<std::int64_t> tokens;  ///< [length] what was read, for angles that depend on the length
  std::int64_t rotated_for = 0;      ///< length of the sequence whose angles the keys have
  std::int64_t limit = 0;            ///< tokens it will never go beyond; 0 = not known

  /// Puts k and v [t,K,E] of block `layer` behind the `length` tokens -> all keys and values so far,
  /// [length+t,K,E] each. Capacity doubles (up to `limit`), so a token costs no copy on average. `length`
  /// itself moves when Decoder has run every block.
  std::pair<at::Tensor, at::Tensor> append(std::size_t layer, const at::Tensor& k, const at::Tensor& v);
};

/// What a block does not keep from forward to backward and computes again.
enum class Recompute {
  kNothing,
  kMlp,    ///< everything of the MLP but its input: selective activation checkpointing
  kBlocks  ///< everything but the block's input: full activation checkpointing
};

/// What a forward pass knows besides its tokens.
struct Pass {
  PackLayout layout;
  std::optional<DropoutKey> dropout;  ///< set in training only
  Recompute recompute = Recompute::kNothing;
  /// [N] in decoding: sequence n of the pack goes on after caches[n], each its own. Empty in training.
  std::vector<KvCache*> caches = {};
  std::vector<RotaryTable> rotary;  ///< one per rope of the config; filled by Decoder
};

}  // namespace graft
