#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/options.h"
#include "model/pass.h"
#include "peft/options.h"
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
  std::uint64_t activation_bytes_per_token = 0;    ///< kept from forward to backward without checkpointing
};

/// Bytes that one token keeps from forward to backward in all blocks, without checkpointing.
std::uint64_t activation_bytes_per_token(const ModelConfig& config, ComputeDType dtype);

/// examples: those with targets. Errors (kUsage): a micro_batch_tokens below 1.
Plan make_plan(const TrainOptions& train, const ModelConfig& config, ComputeDType dtype,
               std::int64_t examples, std::uint64_t installed_memory);

}  // namespace graft
