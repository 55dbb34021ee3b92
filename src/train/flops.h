#pragma once

#include <cstdint>

#include "model/config.h"

namespace graft {

/// What the FLOPs of a step depend on beside the model. Sums over all its sequences.
struct StepCounts {
  double tokens = 0;
  double target_tokens = 0;
  double squared_lengths = 0;  ///< sum of length^2 over the sequences: attention sees half of each square

  StepCounts& operator+=(const StepCounts& other);
};

/// FLOPs (a multiply-add is 2) that LoRA training of these tokens needs, forward and backward. What is
/// computed again (activation checkpointing) is not needed and not in it; nor are norms and other passes.
struct StepFlops {
  double base = 0;       ///< 4 N_lin: x W^T and dy W of the blocks' linears
  double lora = 0;       ///< 6 P: x A^T, B, and the four products of their gradients
  double attention = 0;  ///< 7 s d_q / 2 pairs: two products forward, five backward, causal
  double head = 0;       ///< 4 V d per target

  double total() const { return base + lora + attention + head; }
};

/// adapter_parameters: P = sum of r (in + out) over the adapted linears that a token passes. Source:
/// reference/performance.md 2.1.
StepFlops step_flops(const ModelConfig& config, std::int64_t adapter_parameters, const StepCounts& counts);

/// N_lin: weights of the blocks' linears that a token passes: of experts those it is sent to.
std::int64_t linear_parameters(const ModelConfig& config);
/// Those of them that are not attention's.
std::int64_t mlp_parameters(const ModelConfig& config);
/// Blocks with experts.
std::int64_t sparse_layers(const ModelConfig& config);

}  // namespace graft
