#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/row.h"

namespace graft {

/// The target of a token after which nothing is learned.
inline constexpr std::int32_t kNoTarget = -1;
/// Hugging Face's label of a token that is not learned.
inline constexpr std::int32_t kIgnoreLabel = -100;

/// What is trained: tokens and, for each, the next token to learn or kNoTarget. Already shifted: nothing
/// downstream shifts. tokens.size() == targets.size() >= 1.
struct Example {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> targets;
  std::uint64_t id = 0;  ///< place in the data set: stable over epochs and runs, the key of its dropout
  float weight = 1.0F;
  RowSource source;
  std::int32_t first_label =
      kNoTarget;  ///< label of tokens[0]: nothing precedes it, so only `data preview` shows it

  std::int64_t target_count() const;
};

/// Whole examples end to end: no padding, no mask. Positions restart at each start.
struct Pack {
  std::vector<std::int32_t> tokens;   ///< [T]
  std::vector<std::int32_t> targets;  ///< [T]
  std::vector<std::int64_t> starts;   ///< [N+1], starts.front() == 0, starts.back() == T
  std::vector<std::uint64_t> ids;     ///< [N] Example::id
  std::vector<float> weights;         ///< [N]

  std::int64_t target_count() const;
};

/// The packs of one optimizer step.
struct Step {
  std::vector<Pack> packs;
  std::int64_t tokens = 0;
  std::int64_t target_tokens = 0;  ///< the divisor of an sft step, > 0
};

}  // namespace graft
