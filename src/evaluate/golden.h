#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace graft {

/// Name of the file beside an adapter.
inline constexpr char kGoldenName[] = "golden.json";

/// What base and adapter predict after every token of one prompt: the K likeliest next tokens, best first.
struct GoldenPrompt {
  std::vector<std::int32_t> tokens{};  ///< T ids, with BOS where the base has one
  at::Tensor ids{};                    ///< [T,K] int64
  at::Tensor log_probs{};              ///< [T,K] fp64, of base and adapter
  at::Tensor base_log_probs{};         ///< the same ids, of the base alone
};

/// Predictions that any engine which is to run an adapter can be checked with. As JSON: {"version":1,
/// "dtype","weights","base":{"path","fingerprint"},"adapter":{"sha256"},"prompts":[{"input_ids":[T],
/// "top_ids":[T][K],"top_logprobs":[T][K],"base_logprobs":[T][K]}]}; log-probabilities are natural, over the
/// whole vocabulary; row t is what follows input_ids[0 … t].
struct Golden {
  std::string dtype{};      ///< computed in: "fp32" or "bf16"
  std::string weights{};    ///< the type that most of the base's weights have, in safetensors' or GGUF's word
  std::string base_path{};  ///< where the base was
  Json fingerprint{};       ///< of the base: "graft.base.fingerprint" of adapter files; null: not known
  std::string adapter_sha256{};  ///< of the adapter's tensor file; empty: not known
  std::vector<GoldenPrompt> prompts{};
};

/// The predictions of base and adapter on `tokens`, from all their log-probabilities [T,V]: those of the
/// kComparedTokens likeliest. Error (kNumerics): one that is not finite.
GoldenPrompt golden_prompt(std::vector<std::int32_t> tokens, const at::Tensor& adapted,
                           const at::Tensor& base);

Json golden_json(const Golden& golden);

/// Errors name file and key: a missing or mistyped one, another version, rows of another number or length,
/// ids twice in a row, log-probabilities above 0 or of a sum above 1.
Golden read_golden(const Path& path);

/// Error naming the prompt where an id lies beyond the vocabulary. `where` names the file.
void check_golden_ids(const Golden& golden, const std::string& where, std::int64_t vocab_size);

/// How far other predictions are from the recorded ones.
struct GoldenDifference {
  std::int64_t positions = 0;
  double largest = 0.0;    ///< |difference of log-probabilities| over the recorded tokens, nats
  double kl = 0.0;         ///< mean of KL(recorded || other), the tokens that are not recorded taken as one
  double top1 = 0.0;       ///< share of positions where both put the same token first
  double rms = 0.0;        ///< root mean square of the differences
  double from_base = 0.0;  ///< root mean square of the differences from the base alone
  double effect = 0.0;     ///< the same between base and base + adapter: what the adapter does

  /// Both, as if they were of one prompt.
  GoldenDifference operator+(const GoldenDifference& other) const;
  /// Whether the other predictions are those of the base rather than those of base and adapter.
  bool lost_adapter() const { return from_base < rms; }
};

/// log_probs: [T,V], of the same tokens.
GoldenDifference compare_golden(const GoldenPrompt& golden, const at::Tensor& log_probs);

/// How far apart two computations of the same may be.
struct GoldenTolerance {
  double largest, kl;
  const char* reason;
};

/// What lies between the recorded predictions and others.
enum class GoldenGap {
  kOrder,     ///< fp32 on the same weights
  kRounding,  ///< computed in bf16 on one side, or weights rounded to 16 bits (a merge)
  kBlocks     ///< the weights of one side are quantised in blocks, those of the other not, or otherwise
};

GoldenTolerance golden_tolerance(GoldenGap gap);

}  // namespace graft
