#include "train/flops.h"

#include <algorithm>

namespace graft {

StepCounts& StepCounts::operator+=(const StepCounts& other) {
  tokens += other.tokens;
  target_tokens += other.target_tokens;
  squared_lengths += other.squared_lengths;
  return *this;
}

std::int64_t sparse_layers(const ModelConfig& config) {
  return std::count_if(config.layers.begin(), config.layers.end(),
                       [](const LayerConfig& layer) { return layer.sparse; });
}

std::int64_t mlp_parameters(const ModelConfig& config) {
  const std::int64_t sparse = sparse_layers(config), dense = config.num_hidden_layers - sparse;
  const ExpertsConfig& experts = config.experts;
  return config.hidden_size * (3 * dense * config.intermediate_size +
                               sparse * (experts.count + 3 * experts.per_token * experts.width));
}

std::int64_t linear_parameters(const ModelConfig& config) {
  const std::int64_t attention =
      config.hidden_size * config.head_dim * 2 * (config.num_attention_heads + config.num_key_value_heads);
  return config.num_hidden_layers * attention + mlp_parameters(config);
}

StepFlops step_flops(const ModelConfig& config, std::int64_t adapter_parameters, const StepCounts& counts) {
  const auto queries = static_cast<double>(config.num_attention_heads * config.head_dim);
  return {.base = 4.0 * static_cast<double>(linear_parameters(config)) * counts.tokens,
          .lora = 6.0 * static_cast<double>(adapter_parameters) * counts.tokens,
          .attention = 7.0 * static_cast<double>(config.num_hidden_layers) * queries * counts.squared_lengths,
          .head = 4.0 * static_cast<double>(config.vocab_size * config.hidden_size) * counts.target_tokens};
}

}  // namespace graft
