#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "store/gguf.h"

namespace graft {

/// Shape and switches of a decoder, in the words of Hugging Face's config.json, whatever file it came from.
struct ModelConfig {
  std::string architecture;  ///< Hugging Face class, "LlamaForCausalLM": a row of families.h
  std::string model_type;    ///< "llama"
  std::int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-5;
  double rope_theta = 10000.0;
  bool tie_word_embeddings = false;
  bool attention_bias = false, mlp_bias = false;
  std::vector<std::int32_t> eos_token_ids;  ///< of config and generation_config together
  std::optional<std::int32_t> bos_token_id, pad_token_id;
  Json source = nullptr;  ///< config.json as read (or as written for a GGUF): what an exported folder carries
};

/// The config of a Hugging Face folder or a GGUF file. Errors name file and pointer: missing or absurd sizes,
/// an architecture that no row of families.h has, a switch graft does not honour (rope scaling, a window…).
ModelConfig load_config(const Path& base);

/// The config that a GGUF's metadata and tensor table describe; `source` is the config.json that says the
/// same. Errors name file and key.
ModelConfig config_of_gguf(const GgufFile& file);

/// Sizes that fit together, whatever file they came from. Errors start with `where` ("config.json").
void check_config(const ModelConfig& config, const std::string& where);

}  // namespace graft
