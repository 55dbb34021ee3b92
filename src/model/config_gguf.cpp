#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

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
void refuse_unhonoured(const ArchitectureKeys& keys, const Family& family, std::int64_t head_dim) {
  for (const char* name : {"expert_count", "rope.scale_linear"}) {
    const double value = keys.number_or(name, 0.0);
    const bool off = value == 0.0 || (value == 1.0 && std::string_view(name) != "expert_count");
    check(off, keys.where(name), ": not supported yet (got ", value, ", want 0)");
  }
  const bool scaled = family.honours("attention_multiplier") || family.honours("query_pre_attn_scalar");
  check(scaled || !keys.has("attention.scale"), keys.where("attention.scale"), ": not honoured for ",
        family.architecture);
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

Json token_json(std::optional<std::int32_t> id) { return id ? Json(*id) : Json(nullptr); }

Json eos_json(const GgufFile& file) {
  Json ids = Json::array();
  for (const char* name : {"eos", "eot", "eom"}) {
    const auto id = token(file, name);
    if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
  }
  return ids.empty() ? Json(nullptr) : ids.size() == 1 ? ids.front() : ids;
}

Json numbers_of(const TensorView& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  decode_to_f32(tensor.dtype, tensor.bytes, values);
  return values;
}

/// Metadata that config.json has under another name, for the families that have it at all.
struct NumberKey {
  std::string_view gguf, hugging_face;
};
constexpr NumberKey kNumbers[] = {{"attn_logit_softcapping", "attn_logit_softcapping"},
                                  {"final_logit_softcapping", "final_logit_softcapping"},
                                  {"attention.scale", "attention_multiplier"},
                                  {"embedding_scale", "embedding_multiplier"},
                                  {"residual_scale", "residual_multiplier"},
                                  {"logit_scale", "logits_scaling"}};

/// Gemma's largest models divide q k^T by the square root of D/H, the others by that of the head's width;
/// where the file has no scale it says only how many layers there are. Source: llama.cpp's load_hparams.
Json query_pre_attn_scalar(const ArchitectureKeys& keys, const Json& json) {
  if (keys.has("attention.scale")) {
    const double scale = keys.number_or("attention.scale", 1.0), scalar = 1.0 / (scale * scale);
    const bool whole = std::abs(scalar - std::round(scalar)) < 1e-4;  // an fp32 rounding of the scale
    return whole ? Json(std::llround(scalar)) : Json(scalar);
  }
  const std::int64_t layers = json["num_hidden_layers"];
  const bool largest = layers == 46 || layers == 62;
  return largest ? json["hidden_size"].get<std::int64_t>() / json["num_attention_heads"].get<std::int64_t>()
                 : keys.size("attention.key_length");
}

void add_switches(const ArchitectureKeys& keys, const Family& family, Json& json) {
  const FamilyTraits& traits = family.traits;
  const bool gelu = traits.activation_key != "hidden_act";
  json[std::string(traits.activation_key)] = gelu ? "gelu_pytorch_tanh" : "silu";
  for (const NumberKey& number : kNumbers)
    if (keys.has(number.gguf) && (number.gguf != "attention.scale" || family.honours(number.hugging_face)))
      json[std::string(number.hugging_face)] = keys.number_or(number.gguf, 0.0);
  if (family.honours("query_pre_attn_scalar"))
    json["query_pre_attn_scalar"] = query_pre_attn_scalar(keys, json);
  if (keys.has("attention.sliding_window_pattern"))
    json["sliding_window_pattern"] = keys.size("attention.sliding_window_pattern");
  // Said always, for the class may have a default of its own.
  const std::int64_t window =
      keys.has("attention.sliding_window") ? keys.file().integer(keys.key("attention.sliding_window")) : 0;
  if (window > 0)
    json["sliding_window"] = window;
  else if (family.honours("sliding_window"))
    json["sliding_window"] = nullptr;
}

/// By how much Llama 3's scaling slows each pair. In double: it is compared with what a converter rounded.
std::vector<double> llama3_factors(const RopeConfig& rope) {
  std::vector<double> factors;
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  for (std::int64_t dim = 0; dim < rope.dims; dim += 2) {
    const double exponent = static_cast<double>(dim) / static_cast<double>(rope.dims);
    const double turns = original / (2.0 * std::numbers::pi * std::pow(rope.rope_theta, exponent));
    const double smooth = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    const double kept = std::clamp(smooth, 0.0, 1.0);
    factors.push_back(1.0 / ((1.0 - kept) / rope.factor + kept));
  }
  return factors;
}

/// The factors that converters compute of Llama 3's scaling, by the numbers that Meta's models have.
Json llama3_scaling(const ArchitectureKeys& keys, const TensorView& tensor, double theta) {
  const Json stored = numbers_of(tensor);
  const auto count = static_cast<std::int64_t>(stored.size());
  const double factor = *std::max_element(stored.begin(), stored.end());
  Json scaling = {{"rope_type", "llama3"},
                  {"factor", factor},
                  {"low_freq_factor", 1.0},
                  {"high_freq_factor", 4.0},
                  {"original_max_position_embeddings", 8192}};
  const RopeContext context{.rope_theta = theta, .head_dim = 2 * count, .max_position_embeddings = 8192};
  const std::vector<double> factors = llama3_factors(parse_rope(JsonView(scaling, "rope_freqs"), context));
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double want = factors[i], got = stored[i];
    check(std::abs(got - want) <= 1e-3 * want, keys.file().path().string(),
          ": tensor rope_freqs.weight: rotary scaling that is not Llama 3's (got factor ", got, " of pair ",
          i, ", want ", want, ")");
  }
  return scaling;
}

Json longrope_scaling(const ArchitectureKeys& keys, const TensorView& longer) {
  const TensorView* shorter = keys.file().find("rope_factors_short.weight");
  check(shorter != nullptr, keys.file().path().string(), ": tensor rope_factors_short.weight is missing");
  Json scaling = {
      {"type", "longrope"}, {"long_factor", numbers_of(longer)}, {"short_factor", numbers_of(*shorter)}};
  if (keys.has("rope.scaling.attn_factor"))
    scaling["attention_factor"] = keys.number_or("rope.scaling.attn_factor", 1.0);
  return scaling;
}

/// rope_scaling of the config.json, null where there is none.
Json scaling_of(const ArchitectureKeys& keys, double theta) {
  if (const TensorView* factors = keys.file().find("rope_freqs.weight"))
    return llama3_scaling(keys, *factors, theta);
  if (const TensorView* factors = keys.file().find("rope_factors_long.weight"))
    return longrope_scaling(keys, *factors);
  const double factor = keys.number_or("rope.scaling.factor", 0.0);
  const std::string type = keys.has("rope.scaling.type")
                               ? keys.file().string(keys.key("rope.scaling.type"))
                               : std::string(factor == 0.0 || factor == 1.0 ? "none" : "linear");
  if (type == "none") return nullptr;
  check(type == "linear" || type == "yarn", keys.where("rope.scaling.type"),
        ": rotary scaling of this type is not supported (got ", printable(type),
        ", want none, linear or yarn)");
  Json scaling = {{"type", type}, {"factor", factor}};
  if (type == "yarn")
    scaling["original_max_position_embeddings"] = keys.size("rope.scaling.original_context_length");
  for (const char* name : {"beta_fast", "beta_slow"}) {
    const std::string key = std::string("rope.scaling.yarn_") + name;
    if (keys.has(key)) scaling[name] = keys.number_or(key, 0.0);
  }
  return scaling;
}

void add_rope(const ArchitectureKeys& keys, const Family& family, Json& json) {
  const double theta = keys.number_or("rope.freq_base", 10000.0);
  json["rope_theta"] = theta;
  json["rope_scaling"] = scaling_of(keys, theta);
  if (family.honours("rope_local_base_freq"))
    json["rope_local_base_freq"] = keys.number_or("rope.freq_base_swa", 10000.0);
  if (keys.has("rope.scaling.original_context_length") && family.honours("partial_rotary_factor"))
    json["original_max_position_embeddings"] = keys.size("rope.scaling.original_context_length");
  const std::int64_t head_dim = json["head_dim"];
  const std::int64_t rotated = keys.size_or("rope.dimension_count", head_dim);
  if (rotated != head_dim)
    json["partial_rotary_factor"] = static_cast<double>(rotated) / static_cast<double>(head_dim);
}

/// The config.json that says the same, readable by transformers 4 and 5.
Json source_of(const ArchitectureKeys& keys, const Family& family) {
  const GgufFile& file = keys.file();
  Json json;
  json["architectures"] = {family.architecture};
  json["model_type"] = family.model_type;
  json["vocab_size"] = vocab_of(keys);
  json["hidden_size"] = keys.size("embedding_length");
  json["intermediate_size"] = keys.size("feed_forward_length");
  json["num_hidden_layers"] = keys.size("block_count");
  const std::int64_t heads = keys.size("attention.head_count");
  json["num_attention_heads"] = heads;
  json["num_key_value_heads"] = keys.size_or("attention.head_count_kv", heads);
  json["head_dim"] = keys.size_or("attention.key_length", keys.size("embedding_length") / heads);
  json["max_position_embeddings"] = keys.size("context_length");
  json["rms_norm_eps"] = file.number(keys.key("attention.layer_norm_rms_epsilon"));
  json["tie_word_embeddings"] = file.find("output.weight") == nullptr;
  json["attention_bias"] = !family.traits.qkv_bias && file.find("blk.0.attn_q.bias") != nullptr;
  json["mlp_bias"] = file.find("blk.0.ffn_gate.bias") != nullptr;
  json["attention_dropout"] = 0.0;
  json["initializer_range"] = 0.02;
  json["use_cache"] = true;
  json["bos_token_id"] = token_json(token(file, "bos"));
  json["pad_token_id"] = token_json(token(file, "padding"));
  json["eos_token_id"] = eos_json(file);
  add_switches(keys, family, json);
  add_rope(keys, family, json);
  return json;
}

}  // namespace

ModelConfig config_of_gguf(const GgufFile& file) {
  const Family& family = family_of(file);
  const ArchitectureKeys keys(file, family.gguf);
  ModelConfig config = parse_config(source_of(keys, family), file.path().string());
  refuse_unhonoured(keys, family, config.head_dim);
  return config;
}

}  // namespace graft
