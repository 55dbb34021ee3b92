#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "generate/options.h"
#include "model/decoder.h"

namespace graft {

/// Why an answer ended.
enum class StopReason {
  kStopToken,  ///< the model ended its turn
  kLength,     ///< max_new_tokens
  kContext,    ///< the model can read no more tokens
  kCaller,     ///< on_token said so
};

struct Generated {
  std::vector<std::int32_t> tokens;  ///< without the prompt and without the stop token
  StopReason reason = StopReason::kLength;
};

/// Writes tokens one by one. Keeps keys and values of what it has read, so that a next prompt that begins
/// like the last one (a conversation that goes on) is read only from where it differs. The model must outlive
/// it.
class Generator {
 public:
  explicit Generator(const Decoder& model) : model_(model) {}

  /// Goes on after `prompt` (at least one token) until a token of `stop_ids`, a limit, or on_token returns
  /// false. on_token sees each new token but the stop token. No gradient. Errors: an empty prompt, one longer
  /// than the model reads, a token outside the vocabulary, options out of range (kUsage), logits that are no
  /// numbers (kNumerics).
  Generated run(const std::vector<std::int32_t>& prompt, const SamplingOptions& options,
                const std::vector<std::int32_t>& stop_ids,
                const std::function<bool(std::int32_t)>& on_token = {});

 private:
  /// Reads tokens_ from `first` on -> logits [V] fp32 of the token after them.
  at::Tensor read(std::size_t first);

  const Decoder& model_;
  KvCache cache_;
  std::vector<std::int32_t> tokens_;  // those in the cache, then those still to be read
};

}  // namespace graft
