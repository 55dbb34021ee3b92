#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace graft {

/// How a GGUF file orders the rows of a matrix that is multiplied by rotated heads.
enum class RowOrder {
  kSame,
  kQueryPairs,  ///< rows of each query head interleaved: row 2j+t of the file is row t*E/2+j of Hugging Face
  kKeyPairs,    ///< the same over the kv heads
};

/// Which norms a block has: of what its two branches read, of what they write, or both.
enum class NormPlacement { kBefore, kAfter, kBoth };

/// How a norm's weight is applied.
enum class NormWeight {
  kRounded,  ///< to the normed x rounded to the compute type
  kWide,     ///< in fp32, the product is rounded once
  kPlusOne   ///< the same with 1 + weight
};

/// Norms of queries and keys before they are rotated.
enum class QkNorm {
  kNone,
  kHead,  ///< each head by itself
  kWidth  ///< all heads as one vector
};

/// Which blocks have a limited attention window.
enum class WindowedLayers {
  kNone,
  kAll,
  kFromMaxWindowLayers,  ///< from block max_window_layers on
  kAllButEveryNth,       ///< N = sliding_window_pattern, 2 where the class has no such key
  kUnrotated             ///< those without rotary embedding
};

/// One module of a family under both its names; "{}" stands for the block's number, a second one for the
/// expert's: then the GGUF file has the experts of a block as one tensor [X,out,in]. Suffixes .weight and
/// .bias follow.
struct ModuleName {
  std::string_view hugging_face;  ///< "model.layers.{}.self_attn.q_proj"
  std::string_view gguf;          ///< "blk.{}.attn_q"
  RowOrder order = RowOrder::kSame;
};

/// What a Hugging Face class does without config.json having a word for it, and its defaults.
struct FamilyTraits {
  NormPlacement norms = NormPlacement::kBefore;
  NormWeight norm_weight = NormWeight::kRounded;
  QkNorm qk_norm = QkNorm::kNone;
  bool qkv_bias = false;          ///< q, k and v have biases and o has none, whatever attention_bias says
  bool fused_linears = false;     ///< one qkv_proj and one gate_up_proj
  bool scaled_embedding = false;  ///< by sqrt(D)
  std::string_view activation_key = "hidden_act";
  WindowedLayers windowed = WindowedLayers::kNone;  ///< where layer_types does not say
  bool tied = false;                                ///< tie_word_embeddings' default
  std::int64_t head_dim = 0;                        ///< default; 0 = D/H
  double rms_norm_eps = 1e-6;                       ///< default
  double rope_theta = 10000.0;                      ///< default
  std::int64_t sliding_window = 0;                  ///< default; 0 = none
  std::string_view experts{};                       ///< key of their number; empty: the family has none
  std::string_view expert_width{};                  ///< key of F of one expert
  bool normalized_routing = false;  ///< a token's weights sum to 1 whatever norm_topk_prob says
};

/// One architecture that graft knows. The name map serves loading and export.
struct Family {
  std::string_view architecture;  ///< config.json's class, "LlamaForCausalLM"
  std::string_view model_type;    ///< "llama"
  std::string_view gguf;          ///< general.architecture
  std::span<const ModuleName> modules;
  FamilyTraits traits{};
  std::span<const std::string_view> honoured{};  ///< the switches of config.json (kSwitches) that it has

  bool honours(std::string_view key) const;
};

/// A switch of config.json that changes numbers, and the value with which it does nothing.
struct Switch {
  std::string_view key;
  std::string_view neutral;  ///< as JSON; null is neutral for all
};
/// All that graft knows of: a config that sets one which its family does not honour is refused.
std::span<const Switch> known_switches();

/// All of them.
std::span<const Family> families();
/// The row of a Hugging Face class, of a model_type, of a GGUF architecture; nullptr where there is none.
const Family* find_family(std::string_view architecture);
const Family* find_family_of_type(std::string_view model_type);
const Family* find_family_of_gguf(std::string_view architecture);
/// The same among the families that have experts.
const Family* find_family_of_gguf_with_experts(std::string_view architecture);
/// "LlamaForCausalLM, …" for messages.
std::string known_architectures();

/// The other file's name of a tensor and how its rows lie there.
struct MappedName {
  std::string name;
  RowOrder order = RowOrder::kSame;
  bool of_experts = false;  ///< Hugging Face has one such tensor for each expert, the GGUF file one for all
};
/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; where it is of experts, the name keeps
/// a "{}" for the expert's number. Nothing where the family has no such tensor.
std::optional<MappedName> hugging_face_name(const Family& family, std::string_view gguf_name);
/// A name with the number put in the place of its first "{}".
std::string numbered(std::string_view name, std::int64_t number);
/// The reverse.
std::optional<MappedName> gguf_name(const Family& family, std::string_view hugging_face_name);

/// The row of the GGUF file that holds row `row` of the Hugging Face matrix, in heads of `head_dim` rows.
std::int64_t paired_row(std::int64_t row, std::int64_t head_dim);
/// The reverse: the Hugging Face row that the GGUF file holds at `row`.
std::int64_t unpaired_row(std::int64_t row, std::int64_t head_dim);

}  // namespace graft
