#include "model/config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
#include "model/config_layers.h"
#include "model/families.h"

namespace graft {
namespace {

constexpr std::int64_t kMaxLayers = 10'000;
constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;  // of a width; no model is near
constexpr std::int64_t kMaxVocab = std::int64_t{1} << 26;

std::int64_t size_or(const JsonView& config, std::string_view key, std::int64_t otherwise) {
  const auto value = config.find(key);
  return value ? value->as_int(1, kMaxSize) : otherwise;
}

/// The row of families.h that the config asks for.
const Family& family_of(const JsonView& config) {
  if (const auto classes = config.find("architectures"); classes && classes->size() > 0) {
    const JsonView first = classes->at(std::size_t{0});
    const Family* family = find_family(first.as_string());
    check(family != nullptr, first.where(), ": graft does not know this architecture (got ",
          printable(first.as_string()), ", want ", known_architectures(), ")");
    return *family;
  }
  const JsonView type = config.at("model_type");
  const Family* family = find_family_of_type(type.as_string());
  check(family != nullptr, type.where(), ": graft does not know this model type (got ",
        printable(type.as_string()), ", want one of ", known_architectures(), ")");
  return *family;
}

/// A model that brings its own code or weights that cannot be read.
void refuse_foreign(const JsonView& config) {
  for (const char* key : {"auto_map", "model_file"}) {
    const auto code = config.find(key);
    check(!code, code ? code->where() : "", ": the model brings its own code, which graft never runs",
          Hint{"if the weights are an ordinary one of " + known_architectures() +
               ", remove this key from config.json"});
  }
  if (const auto value = config.find("quantization_config")) {
    const auto method = value->is_object() ? value->find("quant_method") : std::nullopt;
    const std::string name = method && method->is_string() ? method->as_string() : "an unnamed method";
    // What kind of bitsandbytes it is, the tensors themselves say.
    check(name == "bitsandbytes", value->where(), ": quantised weights of this kind are not supported (got ",
          printable(name), ", want bitsandbytes)", Hint{"use the unquantised model folder, or a GGUF file"});
  }
}

/// Sets everything apart from the neutral value: 1 is 1.0, and layers that all see everything are no switch.
bool is_neutral(const JsonView& value, const Switch& known) {
  const Json neutral = Json::parse(known.neutral);
  if (value.is_number() && neutral.is_number()) return value.as_double() == neutral.get<double>();
  if (known.key == "layer_types" && value.is_array())
    return std::all_of(value.json().begin(), value.json().end(),
                       [](const Json& type) { return type == "full_attention"; });
  return value.json() == neutral;
}

/// Switches that would change the numbers and that the family's class does not have, or graft not compute.
void refuse_unhonoured(const JsonView& config, const Family& family) {
  for (const Switch& known : known_switches()) {
    const auto value = config.find(known.key);
    if (!value || family.honours(known.key)) continue;
    check(is_neutral(*value, known), value->where(), ": this switch is not honoured for ",
          family.architecture, " (got ", printable(value->json().dump()), ", want ",
          known.neutral == "null" ? std::string("it absent") : std::string(known.neutral), ")");
  }
}

Activation activation_of(const JsonView& config, const Family& family) {
  const bool gelu_by_default = family.traits.activation_key == "hidden_activation";
  const auto value = config.find(family.traits.activation_key);
  if (!value) return gelu_by_default ? Activation::kGeluTanh : Activation::kSilu;
  const std::string& act = value->as_string();
  if (act == "silu" || act == "swish") return Activation::kSilu;
  check(act == "gelu_pytorch_tanh", value->where(), ": this activation is not supported (got ",
        printable(act), ", want silu or gelu_pytorch_tanh)");
  return Activation::kGeluTanh;
}

bool flag_or(const JsonView& config, std::string_view key, bool otherwise) {
  const auto value = config.find(key);
  return value ? value->as_bool() : otherwise;
}

/// A token id, or nothing where it is absent, null or negative (some published configs say -1 for none).
std::optional<std::int32_t> token_or_none(const JsonView& config, std::string_view key) {
  const auto value = config.find(key);
  if (!value) return {};
  // A list of beginnings or pads has no meaning for generation; the first is what Hugging Face's tokenizers
  // use.
  const std::int64_t id =
      (value->is_array() && value->size() > 0 ? value->at(std::size_t{0}) : *value).as_int(-1, INT32_MAX);
  return id < 0 ? std::nullopt : std::optional(static_cast<std::int32_t>(id));
}

/// Adds the ids of eos_token_id (an integer or a list) that are not in `ids` yet.
void merge_eos(const JsonView& config, std::vector<std::int32_t>& ids) {
  const auto value = config.find("eos_token_id");
  if (!value) return;
  const auto add = [&](const JsonView& element) {
    const auto id = static_cast<std::int32_t>(element.as_int(-1, INT32_MAX));
    if (id >= 0 && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  if (value->is_array()) {
    value->each_element(add);
  } else {
    add(*value);
  }
}

double number_or(const JsonView& config, std::string_view key, double otherwise) {
  const auto value = config.find(key);
  return value ? value->as_double() : otherwise;
}

void read_sizes(const JsonView& json, const Family& family, ModelConfig& config) {
  config.vocab_size = json.at("vocab_size").as_int(1, kMaxVocab);
  config.hidden_size = json.at("hidden_size").as_int(1, kMaxSize);
  config.intermediate_size = json.at("intermediate_size").as_int(1, kMaxSize);
  config.num_hidden_layers = json.at("num_hidden_layers").as_int(1, kMaxLayers);
  config.num_attention_heads = json.at("num_attention_heads").as_int(1, kMaxSize);
  config.num_key_value_heads = size_or(json, "num_key_value_heads", config.num_attention_heads);
  const std::int64_t fixed = family.traits.head_dim;
  config.head_dim =
      size_or(json, "head_dim", fixed > 0 ? fixed : config.hidden_size / config.num_attention_heads);
  config.max_position_embeddings =
      json.find("max_position_embeddings") ? json.at("max_position_embeddings").as_int(1, INT32_MAX) : 2048;
}

void read_switches(const JsonView& json, const Family& family, ModelConfig& config) {
  const FamilyTraits& traits = family.traits;
  config.rms_norm_eps = number_or(json, "rms_norm_eps", traits.rms_norm_eps);
  config.tie_word_embeddings = flag_or(json, "tie_word_embeddings", traits.tied);
  const bool biased = flag_or(json, "attention_bias", false);
  config.attention_bias = biased || traits.qkv_bias;
  config.attention_output_bias = biased && !traits.qkv_bias;
  config.mlp_bias = flag_or(json, "mlp_bias", false);
  config.activation = activation_of(json, family);
}

/// The multipliers and caps of the classes that have them.
void read_scales(const JsonView& json, const Family& family, ModelConfig& config) {
  const auto honoured_or = [&](std::string_view key, double otherwise) {
    return family.honours(key) ? number_or(json, key, otherwise) : otherwise;
  };
  const auto width = static_cast<double>(config.head_dim);
  const bool own_scale = family.honours("query_pre_attn_scalar");
  config.attention_scale = 1.0 / std::sqrt(own_scale ? honoured_or("query_pre_attn_scalar", 256.0) : width);
  if (family.honours("attention_multiplier"))
    config.attention_scale = honoured_or("attention_multiplier", 1.0);
  // Absent means Gemma 2's caps, null means none; the other class that has the key has no cap by default.
  const auto cap = [&](std::string_view key, double otherwise) {
    if (!family.honours(key)) return 0.0;
    return json.json().contains(key) ? number_or(json, key, 0.0) : otherwise;
  };
  const bool capped = family.honours("attn_logit_softcapping");
  config.attention_softcap = cap("attn_logit_softcapping", 50.0);
  config.logit_softcap = cap("final_logit_softcapping", capped ? 30.0 : 0.0);
  config.logit_scale = 1.0 / honoured_or("logits_scaling", 1.0);
  config.residual_multiplier = honoured_or("residual_multiplier", 1.0);
  config.embedding_multiplier = family.traits.scaled_embedding
                                    ? std::sqrt(static_cast<double>(config.hidden_size))
                                    : honoured_or("embedding_multiplier", 1.0);
}

void read_tokens(const JsonView& json, ModelConfig& config) {
  config.bos_token_id = token_or_none(json, "bos_token_id");
  config.pad_token_id = token_or_none(json, "pad_token_id");
  merge_eos(json, config.eos_token_ids);
}

ModelConfig config_of_folder(const Path& folder) {
  const Path path = folder / "config.json";
  ModelConfig config = parse_config(read_json(path), path.string());
  if (const Path generation = folder / "generation_config.json"; std::filesystem::exists(generation)) {
    const Json document = read_json(generation);
    merge_eos(JsonView(document, generation.string()), config.eos_token_ids);
  }
  return config;
}

void check_scale(double value, const std::string& where, const char* what) {
  check(std::isfinite(value) && value > 0.0, where, ": ", what, " is out of range (got ", value, ")");
}

}  // namespace

void check_config(const ModelConfig& config, const std::string& where) {
  check(config.hidden_size % config.num_attention_heads == 0, where,
        ": /hidden_size is not a multiple of num_attention_heads (got ", config.hidden_size, " and ",
        config.num_attention_heads, ")");
  check(config.num_attention_heads % config.num_key_value_heads == 0, where,
        ": /num_attention_heads is not a multiple of num_key_value_heads (got ", config.num_attention_heads,
        " and ", config.num_key_value_heads, ")");
  check(config.head_dim % 2 == 0, where, ": /head_dim is odd, so a head has no halves to rotate (got ",
        config.head_dim, ")");
  check(config.rms_norm_eps >= 0.0 && std::isfinite(config.rms_norm_eps), where,
        ": /rms_norm_eps is out of range (got ", config.rms_norm_eps, ")");
  check_scale(config.attention_scale, where, "the scale of attention");
  check_scale(config.logit_scale, where, "/logits_scaling");
  check_scale(config.embedding_multiplier, where, "/embedding_multiplier");
  check_scale(config.residual_multiplier, where, "/residual_multiplier");
  for (const double cap : {config.attention_softcap, config.logit_softcap})
    check(std::isfinite(cap) && cap >= 0.0, where, ": a soft-cap is out of range (got ", cap, ")");
}

ModelConfig parse_config(Json source, const std::string& where) {
  ModelConfig config;
  config.source = std::move(source);
  const JsonView json(config.source, where);
  check(json.is_object(), where, ": want a JSON object");
  const Family& family = family_of(json);
  refuse_foreign(json);
  refuse_unhonoured(json, family);
  config.architecture = family.architecture;
  config.model_type = family.model_type;
  read_sizes(json, family, config);
  read_switches(json, family, config);
  read_scales(json, family, config);
  check_config(config, where);
  read_layers(json, family, config);
  if (!family.traits.experts.empty()) read_experts(json, family, config);
  read_tokens(json, config);
  return config;
}

ModelConfig load_config(const Path& base) {
  std::error_code ignored;
  const auto status = std::filesystem::status(base, ignored);
  check(std::filesystem::exists(status), base.string(), ": no such file or folder",
        Hint{"a model is a Hugging Face folder (config.json, *.safetensors) or a .gguf file"});
  if (std::filesystem::is_directory(status)) return config_of_folder(base);
  check(is_gguf(base), base.string(), ": neither a Hugging Face folder nor a GGUF file",
        Hint{"give the folder that holds config.json, not a file in it"});
  return config_of_gguf(GgufFile(base));
}

}  // namespace graft
