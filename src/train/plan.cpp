#include "train/plan.h"

#include <algorithm>

#include "base/error.h"

namespace graft {
namespace {

// Larger micro-steps gain nothing on a CPU: the products are at their rate by then.
constexpr std::int64_t kMaxMicroBatchTokens = 2048;
constexpr std::int64_t kMicroBatchUnit = 256;

std::uint64_t weight_bytes(const ModelConfig& config, std::uint64_t bytes_per_value) {
  const std::int64_t attention =
      config.hidden_size * config.head_dim * 2 * (config.num_attention_heads + config.num_key_value_heads);
  const std::int64_t mlp = 3 * config.hidden_size * config.intermediate_size;
  const std::int64_t heads = config.tie_word_embeddings ? 1 : 2;
  return bytes_per_value * static_cast<std::uint64_t>(config.num_hidden_layers * (attention + mlp) +
                                                      heads * config.vocab_size * config.hidden_size);
}

// Memory is spent on activations in proportion to the weights, and never more than a quarter of the machine.
std::int64_t automatic_micro_batch(std::uint64_t bytes_per_token, std::uint64_t weights,
                                   std::uint64_t installed) {
  constexpr std::uint64_t kLeastBudget = std::uint64_t{512} << 20;
  std::uint64_t budget = std::max(2 * weights, kLeastBudget);
  if (installed > 0) budget = std::min(budget, installed / 4);
  const auto tokens = static_cast<std::int64_t>(budget / std::max<std::uint64_t>(1, bytes_per_token));
  return std::clamp(tokens / kMicroBatchUnit * kMicroBatchUnit, kMicroBatchUnit, kMaxMicroBatchTokens);
}

}  // namespace

std::uint64_t activation_bytes_per_token(const ModelConfig& config, ComputeDType dtype) {
  const std::int64_t bytes_per_value = dtype == ComputeDType::kBF16 ? 2 : 4;
  const std::int64_t queries = config.num_attention_heads * config.head_dim;
  const std::int64_t keys_values = 2 * config.num_key_value_heads * config.head_dim;
  // Per block: two residual inputs and their norms (4 D), q, k, v and the attention output, gate, up and
  // their product.
  const std::int64_t values =
      4 * config.hidden_size + 2 * queries + keys_values + 3 * config.intermediate_size;
  return static_cast<std::uint64_t>(config.num_hidden_layers * values * bytes_per_value);
}

Plan make_plan(const TrainOptions& train, const ModelConfig& config, ComputeDType dtype,
               std::int64_t examples, std::uint64_t installed_memory) {
  Plan plan;
  plan.steps_per_epoch = (examples + train.batch_size - 1) / train.batch_size;
  plan.total_steps = train.max_steps > 0 ? train.max_steps : train.epochs * plan.steps_per_epoch;
  plan.activation_bytes_per_token = activation_bytes_per_token(config, dtype);
  const std::uint64_t weights = weight_bytes(config, dtype == ComputeDType::kBF16 ? 2 : 4);
  plan.micro_batch_tokens =
      train.micro_batch_tokens > 0
          ? train.micro_batch_tokens
          : automatic_micro_batch(plan.activation_bytes_per_token, weights, installed_memory);
  const auto policy = train.activation_checkpointing;
  plan.recompute = policy == ActivationCheckpointing::kFull        ? Recompute::kBlocks
                   : policy == ActivationCheckpointing::kSelective ? Recompute::kMlp
                                                                   : Recompute::kNothing;
  plan.recompute_long = policy == ActivationCheckpointing::kAuto ? Recompute::kBlocks : plan.recompute;
  return plan;
}

}  // namespace graft
