#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/rope.h"
#include "store/gguf.h"

namespace graft {

/// Of the gate of an MLP.
enum class Activation { kSilu, kGeluTanh };

/// What differs between the blocks of a decoder.
struct LayerConfig {
  std::int64_t window = 0;  ///< tokens a query sees, itself included; 0 = all before it
  std::int64_t rope = 0;    ///< index in ModelConfig::ropes; -1: queries and keys are not rotated
  bool sparse = false;      ///< experts in place of one MLP
};

/// The experts of sparse blocks, each an MLP of its own.
struct ExpertsConfig {
  std::int64_t count = 0;      ///< X; 0: no block is sparse
  std::int64_t per_token = 0;  ///< those that a token is sent to
  std::int64_t width = 0;      ///< F of each
  bool normalized = false;     ///< the weights of a token's experts sum to 1
};

/// Shape and switches of a decoder, in the words of Hugging Face's config.json, whatever file it came from.
struct ModelConfig {
  std::string architecture;  ///< Hugging Face class, "LlamaForCausalLM": a row of families.h
  std::string model_type;    ///< "llama"
  std::int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  std::vector<RopeConfig> ropes;
  std::vector<LayerConfig> layers;  ///< [num_hidden_layers]
  ExpertsConfig experts;
  Activation activation = Activation::kSilu;
  double attention_scale = 1.0;    ///< of q k^T
  double attention_softcap = 0.0;  ///< 0 = off
  double logit_scale = 1.0;
  double logit_softcap = 0.0;         ///< 0 = off
  double embedding_multiplier = 1.0;  ///< rounded to the compute type
  double residual_multiplier = 1.0;   ///< of what a branch adds
  bool tie_word_embeddings = false;
  bool attention_bias = false;         ///< of q, k, v
  bool attention_output_bias = false;  ///< of o
  bool mlp_bias = false;
  std::vector<std::int32_t> eos_token_ids;  ///< of config and generation_config together
  std::optional<std::int32_t> bos_token_id, pad_token_id;
  Json source = nullptr;  ///< config.json as read (or as written for a GGUF): what an exported folder carries
};

/// The config of a Hugging Face folder or a GGUF file. Errors name file and pointer: missing or absurd sizes,
/// an architecture that no row of families.h has, a switch that its family does not honour (families.h).
ModelConfig load_config(const Path& base);

/// The config that a config.json says, without ends of generation_config.json. `where` starts the messages.
ModelConfig parse_config(Json json, const std::string& where);

/// The config that a GGUF's metadata and tensor table describe; `source` is the config.json that says the
/// same. Errors name file and key.
ModelConfig config_of_gguf(const GgufFile& file);

/// Sizes that fit together, whatever file they came from. Errors start with `where` ("config.json").
void check_config(const ModelConfig& config, const std::string& where);

}  // namespace graft
