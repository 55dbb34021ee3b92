#include "model/config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"
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

/// Rotary scaling of any kind but "default" changes every angle; refuse what is not honoured.
void check_rope(const JsonView& rope) {
  for (const char* key : {"rope_type", "type"}) {
    if (const auto type = rope.find(key)) {
      check(type->as_string() == "default", type->where(),
            ": rotary scaling of this type is not supported yet (got ", printable(type->as_string()),
            ", want default)");
    }
  }
  if (const auto partial = rope.find("partial_rotary_factor")) {
    check(partial->as_double() == 1.0, partial->where(), ": partly rotated heads are not supported (got ",
          partial->as_double(), ", want 1)");
  }
}

double rope_theta_of(const JsonView& config) {
  double theta = 10000.0;  // LlamaConfig's default
  if (const auto value = config.find("rope_theta")) theta = value->as_double();
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto rope = config.find(key);
    if (!rope) continue;
    check(rope->is_object(), rope->where(), ": want an object");
    check_rope(*rope);
    if (const auto value = rope->find("rope_theta")) theta = value->as_double();
  }
  return theta;
}

/// Switches that would change the numbers and that graft does not compute.
void refuse_unhonoured(const JsonView& config) {
  for (const char* key : {"auto_map", "model_file"}) {
    const auto code = config.find(key);
    check(!code, code ? code->where() : "", ": the model brings its own code, which graft never runs",
          Hint{"if the weights are an ordinary " + known_architectures() +
               ", remove this key from config.json"});
  }
  if (const auto value = config.find("quantization_config")) {
    const auto method = value->is_object() ? value->find("quant_method") : std::nullopt;
    const std::string name = method && method->is_string() ? method->as_string() : "an unnamed method";
    // What kind of bitsandbytes it is, the tensors themselves say.
    check(name == "bitsandbytes", value->where(), ": quantised weights of this kind are not supported (got ",
          printable(name), ", want bitsandbytes)", Hint{"use the unquantised model folder, or a GGUF file"});
  }
  for (const char* key : {"sliding_window", "attention_chunk_size"}) {
    if (const auto value = config.find(key)) {
      fail(value->where(), ": a limited attention window is not supported yet (got ", value->json().dump(),
           ", want null)");
    }
  }
  if (const auto value = config.find("hidden_act")) {
    const std::string& act = value->as_string();
    check(act == "silu" || act == "swish", value->where(), ": this activation is not supported (got ",
          printable(act), ", want silu)");
  }
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar",
                          "embedding_multiplier", "residual_multiplier", "attention_multiplier",
                          "logits_scaling", "num_local_experts", "num_experts"}) {
    if (const auto value = config.find(key)) {
      fail(value->where(), ": this switch is not honoured for ", known_architectures(), " (got ",
           printable(value->json().dump()), ", want it absent)");
    }
  }
  if (const auto value = config.find("partial_rotary_factor")) {
    check(value->as_double() == 1.0, value->where(), ": partly rotated heads are not supported (got ",
          value->as_double(), ", want 1)");
  }
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

ModelConfig config_of_folder(const Path& folder) {
  const Path path = folder / "config.json";
  ModelConfig config;
  config.source = read_json(path);
  const JsonView json(config.source, path.string());
  check(json.is_object(), path.string(), ": want a JSON object");
  const Family& family = family_of(json);
  refuse_unhonoured(json);
  config.architecture = family.architecture;
  config.model_type = family.model_type;
  config.vocab_size = json.at("vocab_size").as_int(1, kMaxVocab);
  config.hidden_size = json.at("hidden_size").as_int(1, kMaxSize);
  config.intermediate_size = json.at("intermediate_size").as_int(1, kMaxSize);
  config.num_hidden_layers = json.at("num_hidden_layers").as_int(1, kMaxLayers);
  config.num_attention_heads = json.at("num_attention_heads").as_int(1, kMaxSize);
  config.num_key_value_heads = size_or(json, "num_key_value_heads", config.num_attention_heads);
  config.head_dim = size_or(json, "head_dim", config.hidden_size / config.num_attention_heads);
  config.max_position_embeddings =
      json.find("max_position_embeddings") ? json.at("max_position_embeddings").as_int(1, INT32_MAX) : 2048;
  const auto eps = json.find("rms_norm_eps");
  config.rms_norm_eps = eps ? eps->as_double() : 1e-6;
  config.rope_theta = rope_theta_of(json);
  config.tie_word_embeddings = flag_or(json, "tie_word_embeddings", false);
  config.attention_bias = flag_or(json, "attention_bias", false);
  config.mlp_bias = flag_or(json, "mlp_bias", false);
  config.bos_token_id = token_or_none(json, "bos_token_id");
  config.pad_token_id = token_or_none(json, "pad_token_id");
  merge_eos(json, config.eos_token_ids);
  if (const Path generation = folder / "generation_config.json"; std::filesystem::exists(generation)) {
    const Json document = read_json(generation);
    merge_eos(JsonView(document, generation.string()), config.eos_token_ids);
  }
  check_config(config, path.string());
  return config;
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
  check(config.rope_theta > 0.0 && std::isfinite(config.rope_theta), where,
        ": /rope_theta is out of range (got ", config.rope_theta, ", want > 0)");
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
