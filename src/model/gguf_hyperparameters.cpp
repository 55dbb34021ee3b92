#include "model/gguf_hyperparameters.h"

#include <algorithm>
#include <cmath>

#include "base/console.h"
#include "base/error.h"
#include "model/families.h"

namespace graft {
namespace {

constexpr std::int64_t kUnrotatedEvery = 4;  // of SmolLM3's blocks, in llama.cpp
constexpr double kNear = 1e-6;

class Keys {
 public:
  Keys(const ModelConfig& config, GgufMetadata& metadata)
      : config_(config), family_(*find_family(config.architecture)), metadata_(metadata) {}

  void set(std::string_view name, std::int64_t value) {
    metadata_.set(key(name), static_cast<std::uint32_t>(value));
  }
  void set(std::string_view name, double value) { metadata_.set(key(name), static_cast<float>(value)); }
  void set(std::string_view name, const char* value) { metadata_.set(key(name), value); }
  const ModelConfig& config() const { return config_; }
  const Family& family() const { return family_; }
  std::string_view architecture() const { return family_.gguf; }

  template <class... Parts>
  [[noreturn]] void fail_unsayable(const Parts&... parts) const {
    fail("GGUF cannot say it for ", family_.gguf, ": ", parts...,
         Hint{"write a Hugging Face folder: --format hf"});
  }

 private:
  std::string key(std::string_view name) const { return std::string(family_.gguf) + "." + std::string(name); }
  const ModelConfig& config_;
  const Family& family_;
  GgufMetadata& metadata_;
};

void set_sizes(Keys& keys) {
  const ModelConfig& config = keys.config();
  keys.set("block_count", config.num_hidden_layers);
  keys.set("context_length", config.max_position_embeddings);
  keys.set("embedding_length", config.hidden_size);
  keys.set("feed_forward_length", config.intermediate_size);
  keys.set("attention.head_count", config.num_attention_heads);
  keys.set("attention.head_count_kv", config.num_key_value_heads);
  keys.set("attention.key_length", config.head_dim);
  keys.set("attention.value_length", config.head_dim);
  keys.set("attention.layer_norm_rms_epsilon", config.rms_norm_eps);
  keys.set("vocab_size", config.vocab_size);
}

void set_scales(Keys& keys) {
  const ModelConfig& config = keys.config();
  if (config.attention_softcap > 0) keys.set("attn_logit_softcapping", config.attention_softcap);
  if (config.logit_softcap > 0) keys.set("final_logit_softcapping", config.logit_softcap);
  if (keys.family().honours("attention_multiplier")) {
    keys.set("attention.scale", config.attention_scale);
    keys.set("embedding_scale", config.embedding_multiplier);
    keys.set("residual_scale", config.residual_multiplier);
    keys.set("logit_scale", 1.0 / config.logit_scale);
    return;
  }
  // Gemma's scale is known from the number of layers.
  const bool largest = config.num_hidden_layers == 46 || config.num_hidden_layers == 62;
  const bool own = keys.family().honours("query_pre_attn_scalar") && largest;
  const auto width =
      static_cast<double>(own ? config.hidden_size / config.num_attention_heads : config.head_dim);
  if (std::abs(config.attention_scale * std::sqrt(width) - 1.0) <= kNear) return;
  if (!keys.family().honours("query_pre_attn_scalar"))
    keys.fail_unsayable("attention scaled by ", config.attention_scale);
  keys.set("attention.scale", config.attention_scale);
  warn("attention is scaled by " + std::to_string(config.attention_scale) +
       ", which llama.cpp may not read for " + std::string(keys.architecture()));
}

/// N where all blocks but every Nth have a window, 0 where all have.
std::int64_t window_period(const Keys& keys) {
  const auto& layers = keys.config().layers;
  const auto windowed = [](const LayerConfig& layer) { return layer.window > 0; };
  const auto full = std::ranges::find_if_not(layers, windowed);
  if (full == layers.end()) return 0;
  const std::int64_t period = full - layers.begin() + 1;
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (windowed(layers[i]) != ((static_cast<std::int64_t>(i) + 1) % period != 0))
      keys.fail_unsayable("attention windows in layers that do not follow a period");
  return period;
}

void set_windows(Keys& keys) {
  const auto& layers = keys.config().layers;
  std::int64_t window = 0;
  for (const LayerConfig& layer : layers) window = std::max(window, layer.window);
  if (window == 0) return;
  const WindowedLayers kind = keys.family().traits.windowed;
  const bool phi = keys.architecture() == "phi3";
  if (kind != WindowedLayers::kAllButEveryNth && !phi) {
    // llama.cpp reads no window here, and rows within one window are the same.
    warn("GGUF: the attention window of " + std::to_string(window) +
         " tokens is left out: llama.cpp has none for " + std::string(keys.architecture()) +
         ", so texts longer than that are read differently");
    return;
  }
  keys.set("attention.sliding_window", window);
  if (phi) return;
  const std::int64_t period = window_period(keys);
  if (keys.family().honours("rope_local_base_freq"))
    keys.set("attention.sliding_window_pattern", period);
  else if (period != 2)
    keys.fail_unsayable("attention windows in layers other than every second");
}

void check_rotated(const Keys& keys) {
  const bool some = keys.family().honours("no_rope_layers");
  const auto& layers = keys.config().layers;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool want = !some || (static_cast<std::int64_t>(i) + 1) % kUnrotatedEvery != 0;
    if ((layers[i].rope >= 0) != want) keys.fail_unsayable("rotated layers other than three of four");
  }
}

std::vector<float> narrowed(const std::vector<double>& values) { return {values.begin(), values.end()}; }

/// How much slower each pair turns than without scaling.
std::vector<float> slowdown(const RopeConfig& rope) {
  RopeConfig plain = rope;
  plain.type = RopeType::kDefault;
  const std::vector<double> before = plain.frequencies(1), after = rope.frequencies(1);
  std::vector<float> factors;
  for (std::size_t i = 0; i < before.size(); ++i) factors.push_back(static_cast<float>(before[i] / after[i]));
  return factors;
}

void set_yarn(Keys& keys, const RopeConfig& rope) {
  const double usual = rope.factor <= 1.0 ? 1.0 : 0.1 * std::log(rope.factor) + 1.0;
  if (std::abs(rope.attention_factor - usual) > kNear || !rope.truncate)
    keys.fail_unsayable("yarn with an attention_factor of its own, or without truncation");
  keys.set("rope.scaling.type", "yarn");
  keys.set("rope.scaling.factor", rope.factor);
  keys.set("rope.scaling.original_context_length", rope.original_max_position_embeddings);
  keys.set("rope.scaling.yarn_beta_fast", rope.beta_fast);
  keys.set("rope.scaling.yarn_beta_slow", rope.beta_slow);
}

void set_scaling(Keys& keys, const RopeConfig& rope, std::vector<RopeFactors>& factors) {
  switch (rope.type) {
    case RopeType::kDefault:
      return;
    case RopeType::kLinear:
      keys.set("rope.scaling.type", "linear");
      return keys.set("rope.scaling.factor", rope.factor);
    case RopeType::kYarn:
      return set_yarn(keys, rope);
    case RopeType::kLlama3:
      return factors.push_back({"rope_freqs.weight", slowdown(rope)});
    case RopeType::kLongrope:
      keys.set("rope.scaling.original_context_length", rope.original_max_position_embeddings);
      keys.set("rope.scaling.attn_factor", rope.attention_factor);
      factors.push_back({"rope_factors_long.weight", narrowed(rope.long_factor)});
      return factors.push_back({"rope_factors_short.weight", narrowed(rope.short_factor)});
    case RopeType::kDynamic:
      keys.fail_unsayable("dynamic rotary scaling");
  }
}

void set_rope(Keys& keys, std::vector<RopeFactors>& factors) {
  const auto& ropes = keys.config().ropes;
  keys.set("rope.freq_base", ropes[0].rope_theta);
  keys.set("rope.dimension_count", ropes[0].dims);
  set_scaling(keys, ropes[0], factors);
  if (ropes.size() < 2) return;
  if (ropes[1].type != RopeType::kDefault) keys.fail_unsayable("rotary scaling of windowed layers");
  keys.set("rope.freq_base_swa", ropes[1].rope_theta);
}

/// llama.cpp has experts in all blocks of a model or in none, and lets the weights of a token's experts sum
/// to 1.
void set_experts(Keys& keys) {
  const ExpertsConfig& experts = keys.config().experts;
  if (experts.count == 0) return;
  if (!std::ranges::all_of(keys.config().layers, &LayerConfig::sparse))
    keys.fail_unsayable("blocks without experts among blocks with them");
  if (!experts.normalized) keys.fail_unsayable("norm_topk_prob: false");
  keys.set("expert_count", experts.count);
  keys.set("expert_used_count", experts.per_token);
  // Mixtral's experts have the width of an MLP, for which there is a key already.
  if (keys.family().traits.expert_width != "intermediate_size")
    keys.set("expert_feed_forward_length", experts.width);
}

}  // namespace

GgufHyperparameters gguf_hyperparameters(const ModelConfig& config) {
  GgufHyperparameters made;
  Keys keys(config, made.metadata);
  made.metadata.set("general.architecture", std::string(keys.architecture()));
  made.metadata.set("general.type", "model");
  set_sizes(keys);
  set_scales(keys);
  set_windows(keys);
  check_rotated(keys);
  set_rope(keys, made.rope);
  set_experts(keys);
  return made;
}

}  // namespace graft
