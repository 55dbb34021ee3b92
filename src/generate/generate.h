#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "generate/options.h"
#include "generate/sampler.h"
#include "generate/sequence.h"
#include "model/decoder.h"

namespace graft {

/// Why an answer ended.
enum class StopReason {
  kStopToken,   ///< the model ended its turn
  kStopString,  ///< a text of SamplingOptions::stop came
  kLength,      ///< max_new_tokens
  kContext,     ///< the model can read no more tokens
  kCaller,      ///< on_token said so
};

struct Generated {
  std::vector<std::int32_t> tokens;  ///< without the prompt and without the stop token
  StopReason reason = StopReason::kLength;
};

/// What is to be written, and how.
struct Request {
  std::vector<std::int32_t> prompt = {};  ///< at least one token
  SamplingOptions sampling = {};
  std::vector<std::int32_t> stop_ids = {};          ///< tokens that end the answer
  std::function<bool(std::int32_t)> on_token = {};  ///< sees each new token but the stop token; false: enough
};

/// Error, started by `where`: a prompt without tokens, or one longer than the model reads.
void check_prompt(const std::vector<std::int32_t>& prompt, const ModelConfig& config,
                  const std::string& where = "");

/// One answer while it is written. The request and the sequence must outlive it.
class Draft {
 public:
  /// `sequence` holds the prompt. Errors (kUsage): options out of range.
  Draft(const Request& request, Sequence& sequence, const ModelConfig& config);

  /// Chooses the token after the sequence from its logits [V] fp32, and puts it there unless it ends the
  /// answer. Error (kNumerics): logits that are no numbers.
  void go_on(const at::Tensor& logits);
  bool ended() const { return reason_.has_value(); }
  /// What was written; `ended()` holds.
  Generated result() const { return {tokens_, *reason_}; }
  Sequence& sequence() const { return sequence_; }

 private:
  const Request& request_;
  Sequence& sequence_;
  Sampler sampler_;
  std::int64_t context_;  // tokens that the model reads at most
  std::vector<std::int32_t> tokens_;
  std::optional<StopReason> reason_;
};

/// Writes one answer after the other. Keeps keys and values of what it has read, so that a next prompt that
/// begins like the last one (a conversation that goes on) is read only from where it differs. The model must
/// outlive it.
class Generator {
 public:
  explicit Generator(const Decoder& model) : model_(model) {}

  /// Goes on after the prompt until a token of stop_ids, a limit, or on_token returns false. No gradient.
  /// Errors: as check_prompt, a token outside the vocabulary, options out of range (kUsage), logits that are
  /// no numbers (kNumerics).
  Generated run(const Request& request);
  /// Forgets what was read: the model has become another one (another adapter).
  void forget() { sequence_ = {}; }

 private:
  const Decoder& model_;
  Sequence sequence_;
};

}  // namespace graft
