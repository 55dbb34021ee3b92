#include "bench/base_shapes.h"

#include <array>

namespace graft {
namespace {

constexpr std::array<BaseShape, 6> kShapes{{
    {"SmolLM2-135M", 49152, 576, 1536, 30, 9, 3, 64, true, 1e5, 1e-5, 8192, 1, 2},
    {"Qwen2.5-0.5B", 151936, 896, 4864, 24, 14, 2, 64, true, 1e6, 1e-6, 32768, 151643, 151645},
    {"Llama-3.2-1B", 128256, 2048, 8192, 16, 32, 8, 64, true, 5e5, 1e-5, 131072, 128000, 128001},
    {"Qwen3-1.7B", 151936, 2048, 6144, 28, 16, 8, 128, true, 1e6, 1e-6, 40960, 151643, 151645},
    {"Llama-3.2-3B", 128256, 3072, 8192, 28, 24, 8, 128, true, 5e5, 1e-5, 131072, 128000, 128001},
    {"Llama-3.1-8B", 128256, 4096, 14336, 32, 32, 8, 128, false, 5e5, 1e-5, 131072, 128000, 128001},
}};

}  // namespace

std::span<const BaseShape> base_shapes() { return kShapes; }

std::vector<BaseTensor> tensors_of(const BaseShape& shape) {
  using enum BaseTensorKind;
  const std::int64_t d = shape.hidden, f = shape.feed_forward;
  const std::int64_t q = shape.heads * shape.head_dim, kv = shape.kv_heads * shape.head_dim;
  std::vector<BaseTensor> tensors{{"model.embed_tokens.weight", kEmbedding, {shape.vocab, d}}};
  for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
    const std::string block = "model.layers." + std::to_string(layer) + ".";
    tensors.push_back({block + "input_layernorm.weight", kNorm, {d}});
    tensors.push_back({block + "self_attn.q_proj.weight", kLinear, {q, d}});
    tensors.push_back({block + "self_attn.k_proj.weight", kLinear, {kv, d}});
    tensors.push_back({block + "self_attn.v_proj.weight", kLinear, {kv, d}});
    tensors.push_back({block + "self_attn.o_proj.weight", kLinear, {d, q}});
    tensors.push_back({block + "post_attention_layernorm.weight", kNorm, {d}});
    tensors.push_back({block + "mlp.gate_proj.weight", kLinear, {f, d}});
    tensors.push_back({block + "mlp.up_proj.weight", kLinear, {f, d}});
    tensors.push_back({block + "mlp.down_proj.weight", kLinear, {d, f}});
  }
  tensors.push_back({"model.norm.weight", kNorm, {d}});
  if (!shape.is_tied) tensors.push_back({"lm_head.weight", kEmbedding, {shape.vocab, d}});
  return tensors;
}

Json config_of(const BaseShape& shape, bool is_nf4) {
  Json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"model_type", "llama"},
                 {"attention_bias", false},
                 {"bos_token_id", shape.bos},
                 {"eos_token_id", shape.eos},
                 {"head_dim", shape.head_dim},
                 {"hidden_act", "silu"},
                 {"hidden_size", shape.hidden},
                 {"intermediate_size", shape.feed_forward},
                 {"max_position_embeddings", shape.max_positions},
                 {"mlp_bias", false},
                 {"num_attention_heads", shape.heads},
                 {"num_hidden_layers", shape.layers},
                 {"num_key_value_heads", shape.kv_heads},
                 {"rms_norm_eps", shape.norm_eps},
                 {"rope_theta", shape.rope_theta},
                 {"tie_word_embeddings", shape.is_tied},
                 {"torch_dtype", "bfloat16"},
                 {"vocab_size", shape.vocab}};
  if (is_nf4) {
    config["quantization_config"] = {{"_load_in_4bit", true},
                                     {"_load_in_8bit", false},
                                     {"bnb_4bit_compute_dtype", "bfloat16"},
                                     {"bnb_4bit_quant_storage", "uint8"},
                                     {"bnb_4bit_quant_type", "nf4"},
                                     {"bnb_4bit_use_double_quant", true},
                                     {"llm_int8_enable_fp32_cpu_offload", false},
                                     {"llm_int8_has_fp16_weight", false},
                                     {"llm_int8_skip_modules", nullptr},
                                     {"llm_int8_threshold", 6.0},
                                     {"load_in_4bit", true},
                                     {"load_in_8bit", false},
                                     {"quant_method", "bitsandbytes"}};
  }
  return config;
}

}  // namespace graft
