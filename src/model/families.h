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

/// One module of a family under both its names; "{}" stands for the block's number. Suffixes .weight and
/// .bias follow.
struct ModuleName {
  std::string_view hugging_face;  ///< "model.layers.{}.self_attn.q_proj"
  std::string_view gguf;          ///< "blk.{}.attn_q"
  RowOrder order = RowOrder::kSame;
};

/// One architecture that graft knows. The name map serves loading and export.
struct Family {
  std::string_view architecture;  ///< config.json's class, "LlamaForCausalLM"
  std::string_view model_type;    ///< "llama"
  std::string_view gguf;          ///< general.architecture
  std::span<const ModuleName> modules;
};

/// All of them.
std::span<const Family> families();
/// The row of a Hugging Face class, of a model_type, of a GGUF architecture; nullptr where there is none.
const Family* find_family(std::string_view architecture);
const Family* find_family_of_type(std::string_view model_type);
const Family* find_family_of_gguf(std::string_view architecture);
/// "LlamaForCausalLM, …" for messages.
std::string known_architectures();

/// The other file's name of a tensor and how its rows lie there.
struct MappedName {
  std::string name;
  RowOrder order = RowOrder::kSame;
};
/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; nothing where the family has no such
/// tensor.
std::optional<MappedName> hugging_face_name(const Family& family, std::string_view gguf_name);
/// The reverse.
std::optional<MappedName> gguf_name(const Family& family, std::string_view hugging_face_name);

/// The row of the GGUF file that holds row `row` of the Hugging Face matrix, in heads of `head_dim` rows.
std::int64_t paired_row(std::int64_t row, std::int64_t head_dim);

}  // namespace graft
