#include <ATen/ATen.h>

#include <cmath>

#include "base/console.h"
#include "base/error.h"
#include "model/base_outline.h"
#include "model/base_tensors.h"
#include "model/decoder.h"
#include "ops/int8_weight.h"

namespace graft {
namespace {

/// Builds the parts of a decoder out of a base's tensors, by Hugging Face's module names.
class Builder {
 public:
  Builder(BaseTensors& tensors, const ModelConfig& config, at::ScalarType dtype, const ModelOptions& options)
      : tensors_(tensors),
        config_(config),
        dtype_(dtype),
        quantization_(options.quantization),
        codes_alone_(options.compute == Compute::kInt8 && quantization_ == Quantization::kNone) {}

  /// Embedding and head: quantised only where the file has them so and all is kept as it is.
  FrozenWeightPtr vocabulary(const std::string& module) {
    const auto kind = quantization_ == Quantization::kKeep ? Quantization::kKeep : Quantization::kNone;
    return tensors_.take_matrix(module + ".weight", config_.vocab_size, config_.hidden_size, dtype_, kind);
  }

  Linear linear(const std::string& module, std::int64_t out, std::int64_t in, bool bias) {
    const std::string weight = module + ".weight";
    Linear made{.name = module,
                .weight = codes_alone_ ? tensors_.take_int8(weight, out, in)
                                       : tensors_.take_matrix(weight, out, in, dtype_, quantization_),
                .bias = {}};
    if (bias) made.bias = tensors_.take(module + ".bias", {out}, dtype_);
    return made;
  }

  RmsNorm norm(const std::string& module) {
    return {.name = module,
            .weight = tensors_.take(module + ".weight", {config_.hidden_size}, dtype_),
            .eps = config_.rms_norm_eps};
  }

  Attention attention(const std::string& module) {
    const ModelConfig& c = config_;
    const std::int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
    Attention made;
    made.qkv.linears = {linear(module + ".q_proj", q, c.hidden_size, c.attention_bias),
                        linear(module + ".k_proj", kv, c.hidden_size, c.attention_bias),
                        linear(module + ".v_proj", kv, c.hidden_size, c.attention_bias)};
    made.out.linears = {linear(module + ".o_proj", c.hidden_size, q, c.attention_bias)};
    made.heads = c.num_attention_heads;
    made.kv_heads = c.num_key_value_heads;
    made.head_dim = c.head_dim;
    made.options.scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
    return made;
  }

  Mlp mlp(const std::string& module) {
    const ModelConfig& c = config_;
    Mlp made;
    made.gate_up.linears = {linear(module + ".gate_proj", c.intermediate_size, c.hidden_size, c.mlp_bias),
                            linear(module + ".up_proj", c.intermediate_size, c.hidden_size, c.mlp_bias)};
    made.down.linears = {linear(module + ".down_proj", c.hidden_size, c.intermediate_size, c.mlp_bias)};
    return made;
  }

  Block block(std::int64_t index) {
    const std::string module = "model.layers." + std::to_string(index);
    return {.input_norm = norm(module + ".input_layernorm"),
            .post_attention_norm = norm(module + ".post_attention_layernorm"),
            .attention = attention(module + ".self_attn"),
            .mlp = mlp(module + ".mlp")};
  }

 private:
  BaseTensors& tensors_;
  const ModelConfig& config_;
  at::ScalarType dtype_;
  Quantization quantization_;
  bool codes_alone_;  // int8 of what is not quantised otherwise
};

constexpr const char* kWeight = ".weight";
constexpr const char* kEmbedding = "model.embed_tokens";
constexpr const char* kEmbeddingWeight = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head";
constexpr const char* kHeadWeight = "lm_head.weight";

/// Decides as transformers 5 does whether embedding and head are one matrix: the flag says so, and the file
/// does not hold two different ones. Leaves the config saying what is true.
void settle_tying(BaseTensors& tensors, ModelConfig& config, const Path& base) {
  if (!config.tie_word_embeddings || !tensors.has(kHeadWeight) || !tensors.has(kEmbeddingWeight)) return;
  if (tensors.same(kEmbeddingWeight, kHeadWeight)) {
    tensors.skip(kHeadWeight);
    return;
  }
  warn(base.string() +
       ": tie_word_embeddings is true, but lm_head.weight differs from the embedding; both are used");
  config.tie_word_embeddings = false;
  config.source["tie_word_embeddings"] = false;
}

at::ScalarType scalar_type(ComputeDType dtype) {
  return dtype == ComputeDType::kBF16 ? at::kBFloat16 : at::kFloat;
}

Decoder build(BaseTensors& tensors, ModelConfig& base_config, const ModelOptions& options) {
  settle_tying(tensors, base_config, options.path);
  Decoder model;
  model.config = base_config;
  model.dtype = scalar_type(options.dtype);
  const ModelConfig& config = model.config;
  check(options.quantization != Quantization::kKeep || tensors.any_quantized(), options.path,
        ": nothing to keep: its weights are not quantised",
        Hint{"model.quantization: keep is for a GGUF in blocks; nf4 or q8_0 quantise this base, none takes "
             "it as it is"});
  Builder builder(tensors, config, model.dtype, options);
  // A tied model may have been saved under the head's name alone.
  const bool under_head =
      config.tie_word_embeddings && !tensors.has(kEmbeddingWeight) && tensors.has(kHeadWeight);
  model.embedding = builder.vocabulary(under_head ? kHead : kEmbedding);
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) model.blocks.push_back(builder.block(i));
  model.norm = builder.norm("model.norm");
  model.head = config.tie_word_embeddings
                   ? Linear{.name = kHead, .weight = model.embedding, .bias = {}}
                   : Linear{.name = kHead, .weight = builder.vocabulary(kHead), .bias = {}};
  tensors.finish();
  return model;
}

// Beside weights that are held otherwise.
void add_int8_codes(Decoder& model) {
  model.each_group([](LinearGroup& group) {
    for (Linear& linear : group.linears) linear.weight = int8_weight(linear.weight);
  });
}

}  // namespace

Decoder load_model(const ModelOptions& options) {
  ModelConfig config = load_config(options.path);
  BaseTensors tensors(options.path, config);
  Decoder model = build(tensors, config, options);
  if (options.compute == Compute::kInt8 && options.quantization != Quantization::kNone) add_int8_codes(model);
  return model;
}

BaseOutline outline_model(const ModelOptions& options) {
  ModelConfig config = load_config(options.path);
  BaseTensors tensors(options.path, config, BaseRead::kHeaders);
  BaseOutline outline{.model = build(tensors, config, options), .sizes = {}};
  const auto count = [&](TensorSizes& sum, const std::string& name) { sum += tensors.sizes(name); };
  outline.model.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears) count(outline.sizes.linears, linear.name + kWeight);
  });
  const bool tied = outline.model.head.weight == outline.model.embedding;
  for (const char* name : {kEmbeddingWeight, kHeadWeight}) {
    const bool counted = tied && outline.sizes.embeddings.values > 0;
    if (tensors.has(name) && !counted) count(outline.sizes.embeddings, name);
  }
  return outline;
}

}  // namespace graft
