#include <ATen/ATen.h>

#include <utility>

#include "base/console.h"
#include "base/error.h"
#include "model/base_outline.h"
#include "model/base_tensors.h"
#include "model/decoder.h"
#include "model/families.h"
#include "model/load_in_files.h"
#include "ops/int8_weight.h"

namespace graft {
namespace {

/// Builds the parts of a decoder out of a base's tensors, by Hugging Face's module names.
class Builder {
 public:
  Builder(BaseTensors& tensors, const ModelConfig& config, at::ScalarType dtype, const ModelOptions& options)
      : tensors_(tensors),
        config_(config),
        family_(*find_family(config.architecture)),
        traits_(family_.traits),
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

  /// Its gain comes when the weights are there: settle_norms.
  RmsNorm norm(const std::string& module, std::int64_t width) {
    const bool wide = traits_.norm_weight != NormWeight::kRounded;
    return {.name = module,
            .weight = tensors_.take(module + ".weight", {width}, wide ? at::kFloat : dtype_),
            .gain = {},
            .eps = config_.rms_norm_eps};
  }

  RmsNorm norm(const std::string& module) { return norm(module, config_.hidden_size); }

  Attention attention(const std::string& module, const LayerConfig& layer) {
    const ModelConfig& c = config_;
    const std::int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
    const auto in = [&](const char* name, std::int64_t out) {
      return linear(module + name, out, c.hidden_size, c.attention_bias);
    };
    Attention made;
    if (traits_.fused_linears)
      made.qkv.linears = {in(".qkv_proj", q + 2 * kv)};
    else
      made.qkv.linears = {in(".q_proj", q), in(".k_proj", kv), in(".v_proj", kv)};
    made.out.linears = {linear(module + ".o_proj", c.hidden_size, q, c.attention_output_bias)};
    if (traits_.qk_norm != QkNorm::kNone) {
      const bool per_head = traits_.qk_norm == QkNorm::kHead;
      made.q_norm = norm(module + ".q_norm", per_head ? c.head_dim : q);
      made.k_norm = norm(module + ".k_norm", per_head ? c.head_dim : kv);
    }
    made.heads = c.num_attention_heads;
    made.kv_heads = c.num_key_value_heads;
    made.head_dim = c.head_dim;
    made.rope = layer.rope;
    made.options = {.scale = c.attention_scale, .window = layer.window, .softcap = c.attention_softcap};
    return made;
  }

  /// In the compute type however its block is held: it is small, and a wrong expert is no rounding error.
  Linear router(const std::string& module) {
    return {.name = module,
            .weight = tensors_.take_matrix(module + ".weight", config_.experts.count, config_.hidden_size,
                                           dtype_, Quantization::kNone),
            .bias = {}};
  }

  Experts experts(std::size_t block) {
    const auto name = [&](std::string_view gguf) {
      const auto weight = hugging_face_name(family_, numbered(gguf, static_cast<std::int64_t>(block)));
      return weight->name.substr(0, weight->name.rfind('.'));
    };
    const std::string gate = name("blk.{}.ffn_gate_exps.weight"), up = name("blk.{}.ffn_up_exps.weight"),
                      down = name("blk.{}.ffn_down_exps.weight");
    const std::int64_t in = config_.hidden_size, width = config_.experts.width;
    Experts made;
    made.router.linears = {router(name("blk.{}.ffn_gate_inp.weight"))};
    for (std::int64_t e = 0; e < config_.experts.count; ++e) {
      Mlp mlp;
      mlp.gate_up.linears = {linear(numbered(gate, e), width, in, false),
                             linear(numbered(up, e), width, in, false)};
      mlp.down.linears = {linear(numbered(down, e), in, width, false)};
      mlp.activation = config_.activation;
      made.experts.push_back(std::move(mlp));
    }
    made.per_token = config_.experts.per_token;
    made.normalized = config_.experts.normalized;
    return made;
  }

  Mlp mlp(const std::string& module) {
    const ModelConfig& c = config_;
    const auto in = [&](const char* name, std::int64_t out) {
      return linear(module + name, out, c.hidden_size, c.mlp_bias);
    };
    Mlp made;
    if (traits_.fused_linears)
      made.gate_up.linears = {in(".gate_up_proj", 2 * c.intermediate_size)};
    else
      made.gate_up.linears = {in(".gate_proj", c.intermediate_size), in(".up_proj", c.intermediate_size)};
    made.down.linears = {linear(module + ".down_proj", c.hidden_size, c.intermediate_size, c.mlp_bias)};
    made.activation = c.activation;
    return made;
  }

  Block block(std::size_t index) {
    const std::string module = "model.layers." + std::to_string(index);
    const bool sparse = config_.layers[index].sparse;
    Block made{.before_attention = {},
               .after_attention = {},
               .before_mlp = {},
               .after_mlp = {},
               .attention = attention(module + ".self_attn", config_.layers[index]),
               .mlp = sparse ? Mlp() : mlp(module + ".mlp"),
               .experts = sparse ? experts(index) : Experts(),
               .residual_multiplier = config_.residual_multiplier};
    // One name, two places: where branches have norms behind them it is the attention's.
    RmsNorm second = norm(module + ".post_attention_layernorm");
    if (traits_.norms == NormPlacement::kBefore) {
      made.before_attention = norm(module + ".input_layernorm");
      made.before_mlp = std::move(second);
      return made;
    }
    made.after_attention = std::move(second);
    made.after_mlp = norm(module + ".post_feedforward_layernorm");
    if (traits_.norms == NormPlacement::kBoth) {
      made.before_attention = norm(module + ".input_layernorm");
      made.before_mlp = norm(module + ".pre_feedforward_layernorm");
    }
    return made;
  }

 private:
  BaseTensors& tensors_;
  const ModelConfig& config_;
  const Family& family_;
  const FamilyTraits& traits_;
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

/// Gives every norm its gain. A GGUF file holds 1 + weight where Hugging Face's class adds the 1 itself.
void settle_norms(Decoder& model, bool folder) {
  const bool plus_one = find_family(model.config.architecture)->traits.norm_weight == NormWeight::kPlusOne;
  const auto settle = [&](RmsNorm& norm) {
    norm.gain = norm.weight;
    if (plus_one) norm.gain_offset = 1.0;
    if (plus_one && folder) norm.gain = norm.weight + 1;
    if (plus_one && !folder) norm.weight = norm.gain - 1;
  };
  for (Block& block : model.blocks) block.each_norm(settle);
  settle(model.norm);
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
  for (std::size_t i = 0; i < config.layers.size(); ++i) model.blocks.push_back(builder.block(i));
  model.norm = builder.norm("model.norm");
  model.head = config.tie_word_embeddings
                   ? Linear{.name = kHead, .weight = model.embedding, .bias = {}}
                   : Linear{.name = kHead, .weight = builder.vocabulary(kHead), .bias = {}};
  tensors.finish();
  settle_norms(model, std::filesystem::is_directory(options.path));
  return model;
}

// Beside weights that are held otherwise.
void add_int8_codes(Decoder& model) {
  for (Block& block : model.blocks)
    block.each_group([&](LinearGroup& group) {
      if (&group == &block.experts.router) return;
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

Decoder load_in_files(const std::string& path) {
  ModelConfig config = load_config(path);
  BaseTensors tensors(path, config, BaseRead::kInFiles);
  return build(tensors, config, {.path = path, .dtype = ComputeDType::kF32});
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
