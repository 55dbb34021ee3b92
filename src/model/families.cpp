#include "model/families.h"

#include <algorithm>
#include <array>
#include <vector>

namespace graft {
namespace {

template <std::size_t... Sizes>
constexpr auto joined(const std::array<ModuleName, Sizes>&... parts) {
  std::array<ModuleName, (Sizes + ...)> all{};
  std::size_t at = 0;
  const auto add = [&](const auto& part) {
    for (const ModuleName& module : part) all[at++] = module;
  };
  (add(parts), ...);
  return all;
}

constexpr std::array kEnds = {ModuleName{"model.embed_tokens", "token_embd"},
                              ModuleName{"model.norm", "output_norm"}, ModuleName{"lm_head", "output"}};
constexpr std::array kAttention = {ModuleName{"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"},
                                   ModuleName{"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"},
                                   ModuleName{"model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
                                   ModuleName{"model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"}};
constexpr std::array kPairedAttention = {
    ModuleName{"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", RowOrder::kQueryPairs},
    ModuleName{"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", RowOrder::kKeyPairs},
    ModuleName{"model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
    ModuleName{"model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"}};
constexpr std::array kFusedAttention = {ModuleName{"model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv"},
                                        ModuleName{"model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"}};
constexpr std::array kQkNorms = {ModuleName{"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"},
                                 ModuleName{"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"}};
constexpr std::array kMlp = {ModuleName{"model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"},
                             ModuleName{"model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"},
                             ModuleName{"model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"}};
constexpr std::array kFusedMlp = {ModuleName{"model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"},
                                  ModuleName{"model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"}};
constexpr std::array kExperts = {
    ModuleName{"model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp"},
    ModuleName{"model.layers.{}.mlp.experts.{}.gate_proj", "blk.{}.ffn_gate_exps"},
    ModuleName{"model.layers.{}.mlp.experts.{}.up_proj", "blk.{}.ffn_up_exps"},
    ModuleName{"model.layers.{}.mlp.experts.{}.down_proj", "blk.{}.ffn_down_exps"}};
constexpr std::array kMixtralExperts = {
    ModuleName{"model.layers.{}.block_sparse_moe.gate", "blk.{}.ffn_gate_inp"},
    ModuleName{"model.layers.{}.block_sparse_moe.experts.{}.w1", "blk.{}.ffn_gate_exps"},
    ModuleName{"model.layers.{}.block_sparse_moe.experts.{}.w3", "blk.{}.ffn_up_exps"},
    ModuleName{"model.layers.{}.block_sparse_moe.experts.{}.w2", "blk.{}.ffn_down_exps"}};
constexpr std::array kNormsBefore = {
    ModuleName{"model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
    ModuleName{"model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"}};
constexpr std::array kNormsAfter = {
    ModuleName{"model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"},
    ModuleName{"model.layers.{}.post_feedforward_layernorm", "blk.{}.post_ffw_norm"}};
constexpr std::array kInnerNorms = {
    ModuleName{"model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
    ModuleName{"model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"}};

constexpr auto kLlamaModules = joined(kEnds, kPairedAttention, kMlp, kNormsBefore);
constexpr auto kQwen2Modules = joined(kEnds, kAttention, kMlp, kNormsBefore);
constexpr auto kQwen3Modules = joined(kEnds, kAttention, kQkNorms, kMlp, kNormsBefore);
constexpr auto kQwen3MoeModules = joined(kEnds, kAttention, kQkNorms, kMlp, kExperts, kNormsBefore);
constexpr auto kMixtralModules = joined(kEnds, kPairedAttention, kMixtralExperts, kNormsBefore);
constexpr auto kGemma2Modules = joined(kEnds, kAttention, kMlp, kInnerNorms, kNormsAfter);
constexpr auto kGemma3Modules = joined(kEnds, kAttention, kQkNorms, kMlp, kInnerNorms, kNormsAfter);
constexpr auto kPhi3Modules = joined(kEnds, kFusedAttention, kFusedMlp, kNormsBefore);
constexpr auto kOlmo2Modules = joined(kEnds, kAttention, kQkNorms, kMlp, kNormsAfter);

constexpr Switch kSwitches[] = {{"sliding_window", "null"},
                                {"use_sliding_window", "false"},
                                {"layer_types", "null"},
                                {"attention_chunk_size", "null"},
                                {"use_bidirectional_attention", "false"},
                                {"no_rope_layers", "null"},
                                {"partial_rotary_factor", "1"},
                                {"rope_local_base_freq", "null"},
                                {"attn_logit_softcapping", "null"},
                                {"final_logit_softcapping", "null"},
                                {"query_pre_attn_scalar", "null"},
                                {"attention_multiplier", "null"},
                                {"embedding_multiplier", "1"},
                                {"residual_multiplier", "1"},
                                {"logits_scaling", "1"},
                                {"logit_scale", "1"},
                                {"clip_qkv", "null"},
                                {"qk_layernorm", "false"},
                                {"use_qk_norm", "false"},
                                {"embd_pdrop", "0"},
                                {"resid_pdrop", "0"},
                                {"num_local_experts", "0"},
                                {"num_experts", "0"},
                                {"n_routed_experts", "0"},
                                {"n_shared_experts", "0"},
                                {"mlp_only_layers", "[]"},
                                {"decoder_sparse_step", "1"},
                                {"router_jitter_noise", "0"},
                                {"output_router_logits", "false"}};

constexpr std::string_view kMistralSwitches[] = {"sliding_window"};
constexpr std::string_view kQwenSwitches[] = {"sliding_window", "use_sliding_window", "layer_types"};
constexpr std::string_view kQwen3MoeSwitches[] = {"sliding_window",  "use_sliding_window",
                                                  "num_experts",     "num_local_experts",
                                                  "mlp_only_layers", "decoder_sparse_step"};
constexpr std::string_view kMixtralSwitches[] = {"sliding_window", "num_local_experts"};
constexpr std::string_view kSmollm3Switches[] = {"sliding_window", "use_sliding_window", "layer_types",
                                                 "no_rope_layers"};
constexpr std::string_view kGemma2Switches[] = {"sliding_window", "layer_types", "attn_logit_softcapping",
                                                "final_logit_softcapping", "query_pre_attn_scalar"};
constexpr std::string_view kGemma3Switches[] = {"sliding_window", "layer_types", "final_logit_softcapping",
                                                "query_pre_attn_scalar", "rope_local_base_freq"};
constexpr std::string_view kPhi3Switches[] = {"sliding_window", "partial_rotary_factor"};
constexpr std::string_view kGraniteSwitches[] = {"attention_multiplier", "embedding_multiplier",
                                                 "residual_multiplier", "logits_scaling"};

constexpr FamilyTraits kGemma2Traits = {.norms = NormPlacement::kBoth,
                                        .norm_weight = NormWeight::kPlusOne,
                                        .scaled_embedding = true,
                                        .activation_key = "hidden_activation",
                                        .windowed = WindowedLayers::kAllButEveryNth,
                                        .tied = true,
                                        .head_dim = 256,
                                        .sliding_window = 4096};

constexpr FamilyTraits with_head_norms(FamilyTraits traits) {
  traits.qk_norm = QkNorm::kHead;
  return traits;
}

constexpr std::array kFamilies = {
    Family{"LlamaForCausalLM", "llama", "llama", kLlamaModules},
    Family{"MistralForCausalLM",
           "mistral",
           "llama",
           kLlamaModules,
           {.windowed = WindowedLayers::kAll, .sliding_window = 4096},
           kMistralSwitches},
    Family{"Qwen2ForCausalLM",
           "qwen2",
           "qwen2",
           kQwen2Modules,
           {.qkv_bias = true, .windowed = WindowedLayers::kFromMaxWindowLayers, .sliding_window = 4096},
           kQwenSwitches},
    Family{"Qwen3ForCausalLM",
           "qwen3",
           "qwen3",
           kQwen3Modules,
           {.qk_norm = QkNorm::kHead,
            .windowed = WindowedLayers::kFromMaxWindowLayers,
            .head_dim = 128,
            .sliding_window = 4096},
           kQwenSwitches},
    Family{"Qwen3MoeForCausalLM",
           "qwen3_moe",
           "qwen3moe",
           kQwen3MoeModules,
           {.qk_norm = QkNorm::kHead,
            .windowed = WindowedLayers::kAll,
            .sliding_window = 4096,
            .experts = "num_experts",
            .expert_width = "moe_intermediate_size"},
           kQwen3MoeSwitches},
    Family{"MixtralForCausalLM",
           "mixtral",
           "llama",
           kMixtralModules,
           {.windowed = WindowedLayers::kAll,
            .rms_norm_eps = 1e-5,
            .rope_theta = 1000000.0,
            .experts = "num_local_experts",
            .expert_width = "intermediate_size",
            .normalized_routing = true},
           kMixtralSwitches},
    Family{"SmolLM3ForCausalLM",
           "smollm3",
           "smollm3",
           kLlamaModules,
           {.windowed = WindowedLayers::kUnrotated, .tied = true, .rope_theta = 2000000.0},
           kSmollm3Switches},
    Family{"Gemma2ForCausalLM", "gemma2", "gemma2", kGemma2Modules, kGemma2Traits, kGemma2Switches},
    Family{"Gemma3ForCausalLM", "gemma3_text", "gemma3", kGemma3Modules, with_head_norms(kGemma2Traits),
           kGemma3Switches},
    Family{"Phi3ForCausalLM",
           "phi3",
           "phi3",
           kPhi3Modules,
           {.fused_linears = true, .windowed = WindowedLayers::kAll, .rms_norm_eps = 1e-5},
           kPhi3Switches},
    Family{"Olmo2ForCausalLM",
           "olmo2",
           "olmo2",
           kOlmo2Modules,
           {.norms = NormPlacement::kAfter,
            .norm_weight = NormWeight::kWide,
            .qk_norm = QkNorm::kWidth,
            .rms_norm_eps = 1e-5}},
    Family{"GraniteForCausalLM", "granite", "granite", kLlamaModules, {}, kGraniteSwitches},
};

constexpr std::string_view kPlace = "{}";
using Numbers = std::vector<std::string_view>;

/// The digits that stand for each "{}" in `name`, or nothing where it does not follow the pattern.
std::optional<Numbers> match(std::string_view pattern, std::string_view name) {
  Numbers numbers;
  for (auto place = pattern.find(kPlace); place != std::string_view::npos; place = pattern.find(kPlace)) {
    if (!name.starts_with(pattern.substr(0, place))) return {};
    pattern.remove_prefix(place + kPlace.size());
    name.remove_prefix(place);
    const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
    const bool canonical = digits == 1 || (digits > 1 && name.front() != '0');
    if (!canonical) return {};
    numbers.push_back(name.substr(0, digits));
    name.remove_prefix(digits);
  }
  return pattern == name ? std::optional(numbers) : std::nullopt;
}

std::string filled(std::string_view pattern, std::string_view number) {
  const std::size_t place = pattern.find(kPlace);
  if (place == std::string_view::npos) return std::string(pattern);
  return std::string(pattern.substr(0, place)) + std::string(number) +
         std::string(pattern.substr(place + kPlace.size()));
}

bool is_of_experts(const ModuleName& module) {
  return module.hugging_face.find(kPlace) != module.hugging_face.rfind(kPlace);
}

std::optional<MappedName> translate(const Family& family, std::string_view name,
                                    std::string_view ModuleName::*from, std::string_view ModuleName::*to) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view suffix = name.substr(dot);
  if (suffix != ".weight" && suffix != ".bias") return {};
  for (const ModuleName& module : family.modules) {
    const auto numbers = match(module.*from, name.substr(0, dot));
    if (!numbers) continue;
    const std::string translated =
        numbers->empty() ? std::string(module.*to) : filled(module.*to, numbers->front());
    return MappedName{translated + std::string(suffix), module.order, is_of_experts(module)};
  }
  return {};
}

const Family* find_by(std::string_view Family::*field, std::string_view value) {
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                  [&](const Family& family) { return family.*field == value; });
  return found == kFamilies.end() ? nullptr : &*found;
}

}  // namespace

bool Family::honours(std::string_view key) const {
  return std::find(honoured.begin(), honoured.end(), key) != honoured.end();
}

std::span<const Switch> known_switches() { return kSwitches; }

std::span<const Family> families() { return kFamilies; }

const Family* find_family(std::string_view architecture) {
  return find_by(&Family::architecture, architecture);
}
const Family* find_family_of_type(std::string_view model_type) {
  return find_by(&Family::model_type, model_type);
}
const Family* find_family_of_gguf(std::string_view architecture) {
  return find_by(&Family::gguf, architecture);
}
const Family* find_family_of_gguf_with_experts(std::string_view architecture) {
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family& family) {
    return family.gguf == architecture && !family.traits.experts.empty();
  });
  return found == kFamilies.end() ? nullptr : &*found;
}

std::string known_architectures() {
  std::string names;
  for (const Family& family : kFamilies)
    names += (names.empty() ? "" : ", ") + std::string(family.architecture);
  return names;
}

std::optional<MappedName> hugging_face_name(const Family& family, std::string_view gguf_name) {
  return translate(family, gguf_name, &ModuleName::gguf, &ModuleName::hugging_face);
}

std::optional<MappedName> gguf_name(const Family& family, std::string_view hugging_face_name) {
  return translate(family, hugging_face_name, &ModuleName::hugging_face, &ModuleName::gguf);
}

std::string numbered(std::string_view name, std::int64_t number) {
  return filled(name, std::to_string(number));
}

std::int64_t paired_row(std::int64_t row, std::int64_t head_dim) {
  const std::int64_t in_head = row % head_dim, half = head_dim / 2;
  return row - in_head + 2 * (in_head % half) + in_head / half;
}

std::int64_t unpaired_row(std::int64_t row, std::int64_t head_dim) {
  const std::int64_t in_head = row % head_dim, half = head_dim / 2;
  return row - in_head + in_head % 2 * half + in_head / 2;
}

}  // namespace graft
