#pragma once

#include <cstdint>

#include "model/base_outline.h"
#include "model/pass.h"

namespace graft {

/// What the bytes and FLOPs of a run depend on beside its data.
struct TrainingShape {
  ModelConfig config;
  ComputeDType dtype = ComputeDType::kBF16;
  Quantization quantization = Quantization::kNone;
  Compute compute = Compute::kAuto;
  BaseSizes base;
  std::int64_t adapter_parameters = 0;
  std::int64_t active_adapter_parameters = 0;  ///< those that a token passes: fewer where there are experts
  std::int64_t adapter_ranks = 0;  ///< numbers that a token keeps for the adapters: columns of x A^T, …
  std::int64_t first_block = 0;    ///< lowest block with an adapter: below it nothing is kept
};

/// Resident bytes of a run at its peak, by part.
struct MemoryBytes {
  std::uint64_t weights = 0;    ///< of the base, mapped or decoded
  std::uint64_t adapters = 0;   ///< fp32 masters, their roundings, gradients
  std::uint64_t optimizer = 0;  ///< moments
  std::uint64_t activations =
      0;                   ///< kept from forward to backward; of a block that is computed again, all of it
  std::uint64_t loss = 0;  ///< the rows with targets, their gradient, a piece of the head or of logits
  std::uint64_t scratch =
      0;  ///< what backward needs beyond the loss's bytes, and what the allocator cannot fill
  std::uint64_t data = 0;     ///< tokens and targets of the examples
  std::uint64_t program = 0;  ///< graft and libtorch

  std::uint64_t total() const;
  /// What the size of a micro-step decides.
  std::uint64_t of_micro_step() const { return activations + loss + scratch; }
};

/// Bytes of `values` numbers of a matrix whose inputs are whole blocks.
std::uint64_t quantized_bytes(Quantization quantization, ComputeDType dtype, const TensorSizes& sizes);

/// Bytes that one token keeps from forward to backward in all trained blocks.
std::uint64_t kept_bytes_per_token(const TrainingShape& shape, Recompute policy);

/// A micro-step as memory sees it.
struct PackSize {
  std::int64_t tokens = 0;
  std::int64_t targets = 0;
};

/// The peak of a run whose largest micro-step is `pack`, with `data_tokens` tokens in its data.
MemoryBytes peak_memory(const TrainingShape& shape, Recompute policy, PackSize pack,
                        std::int64_t data_tokens);

}  // namespace graft
