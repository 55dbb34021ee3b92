#pragma once

#include <cstdint>

#include "train/memory.h"
#include "train/options.h"

namespace graft {

/// What a run will do, decided before anything is loaded: a pure function of shapes, counts and installed
/// memory.
struct Plan {
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
  std::int64_t micro_batch_tokens = 0;             ///< tokens per micro-step
  Recompute recompute = Recompute::kNothing;       ///< of every micro-step …
  Recompute recompute_long = Recompute::kNothing;  ///< … and of one of more than micro_batch_tokens tokens

  Recompute policy_of(std::int64_t pack_tokens) const {
    return pack_tokens > micro_batch_tokens ? recompute_long : recompute;
  }
};

/// The data as a plan sees it.
struct DataCounts {
  std::int64_t examples = 0;  ///< those with targets
  std::int64_t tokens = 0;
  std::int64_t longest = 0;  ///< tokens of the longest example
};

/// Micro-steps may use half of what weights, adapters and program leave of the memory. Where the options say
/// auto: the policy that computes least again and leaves room for micro-steps of 1,024 tokens (at most
/// 2,048); of micro-steps that a longer example makes, the least that fits. Errors (kUsage): a batch_size
/// below 1.
Plan make_plan(const TrainOptions& train, const TrainingShape& shape, const DataCounts& data,
               std::uint64_t installed_memory);

/// The recipe's word: "none", "selective", "full".
const char* name_of(Recompute policy);

}  // namespace graft
