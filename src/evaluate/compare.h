#pragma once

#include <cstdint>
#include <vector>

#include "model/decoder.h"

namespace graft {

/// Log-probabilities of the next token after each of the tokens of one sequence, [T,V] fp32, without gradient
/// or dropout.
at::Tensor log_probabilities(const Decoder& model, const std::vector<std::int32_t>& tokens);

/// How far the predictions of one model are from another's, over some positions.
struct Difference {
  std::int64_t positions = 0;
  double largest = 0.0;  ///< |difference of log-probabilities| over the reference's likeliest tokens, nats
  double rms = 0.0;      ///< root of the mean square of the same
  double kl = 0.0;       ///< mean over positions of KL(reference || other), nats
  double top1 = 1.0;     ///< share of positions where both put the same token first
};

/// Likeliest tokens per position that Difference looks at: the tail is noise that no sampler draws.
inline constexpr std::int64_t kComparedTokens = 20;

/// Two [T,V] tensors of log-probabilities of the same positions.
Difference compare(const at::Tensor& reference, const at::Tensor& other);

}  // namespace graft
