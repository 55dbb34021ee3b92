#pragma once

#include <optional>
#include <vector>

#include "ops/layout.h"
#include "ops/rotary.h"

namespace graft {

/// Keys and values of the tokens seen so far, one pair per block: [S,K,E] each. Grows as tokens are decoded.
struct KvCache {
  std::vector<at::Tensor> keys, values;
  std::int64_t length = 0;
};

/// What a forward pass knows besides its tokens.
struct Pass {
  PackLayout layout;
  std::optional<DropoutKey> dropout;  ///< set in training only
  bool recompute_blocks = false;      ///< keep only each block's input, compute the rest again in the backward
  KvCache* cache = nullptr;           ///< decoding: the pack is one sequence that goes on after the cache
  RotaryTable rotary;                 ///< filled by Decoder
};

}  // namespace graft
