#include "train/flops.h"

namespace graft {

StepCounts& StepCounts::operator+=(const StepCounts& other) {
  tokens += other.tokens;
  target_tokens += other.target_tokens;
  squared_lengths += other.squared_lengths;
  return *this;
}

std::int64_t linear_parameters(const ModelConfig& config) {
  const std::int64_t attention =
      config.hidden_size * config.head_dim * 2 * (config.num_attention_heads + config.num_key_value_heads);
  return config.num_hidden_layers * (attention + 3 * config.hidden_size * config.intermediate_size);
}

StepFlops step_flops(const ModelConfig& config, std::int64_t adapter_parameters, const StepCounts& counts) {
  const auto queries = static_cast<double>(config.num_attention_heads * config.head_dim);
  return {.base = 4.0 * static_cast<double>(linear_parameters(config)) * counts.tokens,
          .lora = 6.0 * static_cast<double>(adapter_parameters) * counts.tokens,
          .attention = 7.0 * static_cast<double>(config.num_hidden_layers) * queries * counts.squared_lengths,
          .head = 4.0 * static_cast<double>(config.vocab_size * config.hidden_size) * counts.target_tokens};
}

}  // namespace graft
