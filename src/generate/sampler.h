#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "base/random.h"
#include "generate/options.h"

namespace graft {

/// Chooses tokens as SamplingOptions say. The draws are a pure function of the seed and of how many were
/// made.
class Sampler {
 public:
  /// Error (kUsage): an option out of its range.
  explicit Sampler(const SamplingOptions& options);

  /// logits [V] fp32 of the next position, `seen` the tokens before it (prompt included) -> the next token.
  /// Error (kNumerics): a logit that is no number, or none that is finite.
  std::int32_t next(const at::Tensor& logits, std::span<const std::int32_t> seen);

 private:
  SamplingOptions options_;
  RandomStream random_;
};

}  // namespace graft
