#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "model/config.h"
#include "model/families.h"

namespace graft {
namespace {

constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;

/// The keys of one architecture: "llama.block_count" and so on.
class ArchitectureKeys {
 public:
  ArchitectureKeys(const GgufFile& file, std::string_view architecture)
      : file_(file), prefix_(std::string(architecture) + ".") {}
  std::string key(std::string_view name) const { return prefix_ + std::string(name); }
  bool has(std::string_view name) const { return file_.has(key(name)); }
  std::int64_t size(std::string_view name) const {
    const std::int64_t value = file_.integer(key(name));
    check(value >= 1 && value <= kMaxSize, where(name), ": out of range (got ", value, ", want 1 to ",
          kMaxSize, ")");
    return value;
  }
  std::int64_t size_or(std::string_view name, std::int64_t otherwise) const {
    return has(name) ? size(name) : otherwise;
  }
  double number_or(std::string_view name, double otherwise) const {
    return has(name) ? file_.number(key(name)) : otherwise;
  }
  std::string where(std::string_view name) const { return file_.path().string() + ": " + key(name); }
  const GgufFile& file() const { return file_; }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

/// What llama.cpp would compute from the metadata and graft would not.
void refuse_unhonoured(const ArchitectureKeys& keys, std::int64_t head_dim) {
  if (keys.has("rope.scaling.type")) {
    const std::string& type = keys.file().string(keys.key("rope.scaling.type"));
    check(type == "none", keys.where("rope.scaling.type"),
          ": rotary scaling of this type is not supported yet (got ", printable(type), ", want none)");
  }
  for (const char* name : {"rope.scaling.factor", "rope.scale_linear"}) {
    const double factor = keys.number_or(name, 1.0);
    check(factor == 1.0 || factor == 0.0, keys.where(name), ": rotary scaling is not supported yet (got ",
          factor, ", want 1)");
  }
  const TensorView* factors = keys.file().find("rope_freqs.weight");
  check(factors == nullptr, keys.file().path().string(),
        ": tensor rope_freqs.weight: rotary scaling as in Llama 3.1 is not supported yet");
  for (const char* name : {"expert_count", "attention.sliding_window"}) {
    const std::int64_t value = keys.has(name) ? keys.file().integer(keys.key(name)) : 0;
    check(value == 0, keys.where(name), ": not supported yet (got ", value, ", want 0)");
  }
  const std::int64_t rotated = keys.size_or("rope.dimension_count", head_dim);
  check(rotated == head_dim, keys.where("rope.dimension_count"),
        ": partly rotated heads are not supported (got ", rotated, ", want ", head_dim, ")");
  const std::int64_t value_length = keys.size_or("attention.value_length", head_dim);
  check(value_length == head_dim, keys.where("attention.value_length"),
        ": heads of different widths are not supported (got ", value_length, ", want ", head_dim, ")");
}

const Family& family_of(const GgufFile& file) {
  if (file.has("general.type")) {
    check(file.string("general.type") == "model", file.path().string(), ": general.type: not a model (got ",
          printable(file.string("general.type")), ", want model)");
  }
  if (file.has("split.count")) {
    check(file.integer("split.count") <= 1, file.path().string(), ": one part of a model that is split in ",
          file.integer("split.count"), Hint{"join the parts first: llama-gguf-split --merge"});
  }
  const std::string& architecture = file.string("general.architecture");
  const Family* family = find_family_of_gguf(architecture);
  check(family != nullptr, file.path().string(), ": general.architecture: graft does not know it (got ",
        printable(architecture), ", want one of ", known_architectures(), ")");
  return *family;
}

std::int64_t vocab_of(const ArchitectureKeys& keys) {
  const GgufFile& file = keys.file();
  const TensorView* embedding = file.find("token_embd.weight");
  check(embedding != nullptr, file.path().string(), ": tensor token_embd.weight is missing");
  check(embedding->shape.size() == 2, file.path().string(), ": tensor token_embd.weight: got shape ",
        embedding->shape_text(), ", want two dimensions");
  const std::int64_t rows = embedding->shape[0];
  const std::int64_t said = keys.size_or("vocab_size", rows);
  check(said == rows, keys.where("vocab_size"), ": does not fit tensor token_embd.weight (got ", said,
        ", want ", rows, ")");
  return rows;
}

std::optional<std::int32_t> token(const GgufFile& file, std::string_view name) {
  const std::string key = "tokenizer.ggml." + std::string(name) + "_token_id";
  if (!file.has(key)) return {};
  const std::int64_t id = file.integer(key);
  // u32 -1 is how converters write "none".
  if (id < 0 || id == UINT32_MAX) return {};
  check(id <= INT32_MAX, file.path().string(), ": ", key, ": out of range (got ", id, ")");
  return static_cast<std::int32_t>(id);
}

/// The config.json that says the same, readable by transformers 4 and 5.
Json source_of(const ModelConfig& config) {
  Json json;
  json["architectures"] = {config.architecture};
  json["attention_bias"] = config.attention_bias;
  json["attention_dropout"] = 0.0;
  json["bos_token_id"] = config.bos_token_id ? Json(*config.bos_token_id) : Json(nullptr);
  if (config.eos_token_ids.empty()) {
    json["eos_token_id"] = nullptr;
  } else if (config.eos_token_ids.size() == 1) {
    json["eos_token_id"] = config.eos_token_ids.front();
  } else {
    json["eos_token_id"] = config.eos_token_ids;
  }
  json["head_dim"] = config.head_dim;
  json["hidden_act"] = "silu";
  json["hidden_size"] = config.hidden_size;
  json["initializer_range"] = 0.02;
  json["intermediate_size"] = config.intermediate_size;
  json["max_position_embeddings"] = config.max_position_embeddings;
  json["mlp_bias"] = config.mlp_bias;
  json["model_type"] = config.model_type;
  json["num_attention_heads"] = config.num_attention_heads;
  json["num_hidden_layers"] = config.num_hidden_layers;
  json["num_key_value_heads"] = config.num_key_value_heads;
  json["pad_token_id"] = config.pad_token_id ? Json(*config.pad_token_id) : Json(nullptr);
  json["rms_norm_eps"] = config.rms_norm_eps;
  json["rope_scaling"] = nullptr;
  json["rope_theta"] = config.rope_theta;
  json["tie_word_embeddings"] = config.tie_word_embeddings;
  json["use_cache"] = true;
  json["vocab_size"] = config.vocab_size;
  return json;
}

}  // namespace

ModelConfig config_of_gguf(const GgufFile& file) {
  const Family& family = family_of(file);
  const ArchitectureKeys keys(file, family.gguf);
  ModelConfig config;
  config.architecture = family.architecture;
  config.model_type = family.model_type;
  config.vocab_size = vocab_of(keys);
  config.hidden_size = keys.size("embedding_length");
  config.intermediate_size = keys.size("feed_forward_length");
  config.num_hidden_layers = keys.size("block_count");
  config.num_attention_heads = keys.size("attention.head_count");
  config.num_key_value_heads = keys.size_or("attention.head_count_kv", config.num_attention_heads);
  config.head_dim = keys.size_or("attention.key_length", config.hidden_size / config.num_attention_heads);
  config.max_position_embeddings = keys.size("context_length");
  config.rms_norm_eps = file.number(keys.key("attention.layer_norm_rms_epsilon"));
  config.rope_theta = keys.number_or("rope.freq_base", 10000.0);
  config.tie_word_embeddings = file.find("output.weight") == nullptr;
  config.attention_bias = file.find("blk.0.attn_q.bias") != nullptr;
  config.mlp_bias = file.find("blk.0.ffn_gate.bias") != nullptr;
  config.bos_token_id = token(file, "bos");
  config.pad_token_id = token(file, "padding");
  for (const char* name : {"eos", "eot"}) {
    const auto id = token(file, name);
    const auto& ids = config.eos_token_ids;
    if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) config.eos_token_ids.push_back(*id);
  }
  check_config(config, file.path().string());
  refuse_unhonoured(keys, config.head_dim);
  config.source = source_of(config);
  return config;
}

}  // namespace graft
