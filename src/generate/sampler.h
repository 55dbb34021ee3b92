#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "generate/options.h"

namespace graft {

/// A token that may come next, and how likely it is to be drawn.
struct TokenChance {
  std::int32_t id;
  double probability;
};

/// The tokens that the options leave of logits [V] fp32, by id; their chances add up to 1. `seen`: the tokens
/// before (prompt included). Greedy: one token. What is less likely than 1 in 10^17 of the likeliest is left
/// out. Error (kNumerics): a logit that is no number, or none that is finite.
/// Source: transformers, generation/logits_process.py, one class per option.
std::vector<TokenChance> token_chances(const at::Tensor& logits, std::span<const std::int32_t> seen,
                                       const SamplingOptions& options);

/// Error of this code, started by `where`: an option out of its range.
void check_sampling(const SamplingOptions& options, const std::string& where = "",
                    ExitCode code = ExitCode::kUsage);

/// Chooses tokens as SamplingOptions say. The draws are a pure function of the seed and of how many were
/// made.
class Sampler {
 public:
  /// Error (kUsage): an option out of its range.
  explicit Sampler(const SamplingOptions& options);

  /// logits [V] fp32 of the next position, `seen` the tokens before it (prompt included) -> the next token.
  /// Errors: as token_chances.
  std::int32_t next(const at::Tensor& logits, std::span<const std::int32_t> seen);

 private:
  SamplingOptions options_;
  RandomStream random_;
};

}  // namespace graft
