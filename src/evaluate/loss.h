#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "data/example.h"
#include "model/decoder.h"

namespace graft {

/// Tokens that a pack of `tokens` is computed as: the matrix library compiles a kernel for every height of a
/// product that it meets, which takes longer than the product and stays in memory, so heights are rounded up.
constexpr std::int64_t computed_tokens(std::int64_t tokens) { return (tokens + 63) / 64 * 64; }

/// Losses of the target tokens of a pack, in order, [L] fp32 with L = pack.target_count(). Differentiable in
/// the adapters' parameters where grad mode is on; dropout and recomputation as `pass` says (its layout is
/// set from the pack).
at::Tensor token_losses(const Decoder& model, const Pack& pack, Pass pass = {});

/// A sum of losses in nats and the number of tokens in it.
struct LossSum {
  double loss = 0.0;
  std::int64_t tokens = 0;
  double mean() const { return tokens > 0 ? loss / static_cast<double>(tokens) : 0.0; }
};

/// Sum of the losses over all examples, without gradient or dropout. `stop` is asked before each micro-step;
/// where it says true the sum so far is returned, and the caller throws it away.
LossSum evaluate_loss(const Decoder& model, const std::vector<Example>& examples,
                      std::int64_t micro_batch_tokens, const std::function<bool()>& stop = {});

/// What `score` reports of one row.
struct RowScore {
  double loss = 0.0;  ///< mean over its target tokens, nats
  std::int64_t tokens = 0;
  std::vector<std::pair<std::int32_t, double>>
      top;  ///< best `top_k` (id, log-probability) at the last position
};

/// One example run alone, without gradient or dropout; log-probabilities of the last position computed in
/// fp64 from the model's fp32 logits. An example without targets (one token) has loss 0 over 0 tokens.
RowScore score_example(const Decoder& model, const Example& example, std::int64_t top_k);

}  // namespace graft
