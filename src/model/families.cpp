#include "model/families.h"

#include <algorithm>
#include <array>

namespace graft {
namespace {

constexpr std::array kLlamaModules = {
    ModuleName{"model.embed_tokens", "token_embd"},
    ModuleName{"model.layers.{}.input_layernorm", "blk.{}.attn_norm"},
    ModuleName{"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q", RowOrder::kQueryPairs},
    ModuleName{"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k", RowOrder::kKeyPairs},
    ModuleName{"model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"},
    ModuleName{"model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"},
    ModuleName{"model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"},
    ModuleName{"model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"},
    ModuleName{"model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"},
    ModuleName{"model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"},
    ModuleName{"model.norm", "output_norm"},
    ModuleName{"lm_head", "output"},
};

constexpr std::array kFamilies = {
    Family{"LlamaForCausalLM", "llama", "llama", kLlamaModules},
};

/// The digits that stand for "{}" in `name`, or nothing where it does not follow the pattern. "" for a
/// pattern without.
std::optional<std::string_view> match(std::string_view pattern, std::string_view name) {
  const std::size_t brace = pattern.find("{}");
  if (brace == std::string_view::npos) {
    return pattern == name ? std::optional<std::string_view>("") : std::nullopt;
  }
  const std::string_view before = pattern.substr(0, brace), after = pattern.substr(brace + 2);
  if (!name.starts_with(before) || !name.ends_with(after) || name.size() <= before.size() + after.size())
    return {};
  const std::string_view number = name.substr(before.size(), name.size() - before.size() - after.size());
  const bool digits = std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
  const bool canonical = number.size() == 1 || number.front() != '0';
  return digits && canonical ? std::optional(number) : std::nullopt;
}

std::string fill(std::string_view pattern, std::string_view number) {
  const std::size_t brace = pattern.find("{}");
  if (brace == std::string_view::npos) return std::string(pattern);
  return std::string(pattern.substr(0, brace)) + std::string(number) + std::string(pattern.substr(brace + 2));
}

std::optional<MappedName> translate(const Family& family, std::string_view name,
                                    std::string_view ModuleName::*from, std::string_view ModuleName::*to) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view suffix = name.substr(dot);
  if (suffix != ".weight" && suffix != ".bias") return {};
  for (const ModuleName& module : family.modules) {
    if (const auto number = match(module.*from, name.substr(0, dot))) {
      return MappedName{fill(module.*to, *number) + std::string(suffix), module.order};
    }
  }
  return {};
}

const Family* find_by(std::string_view Family::*field, std::string_view value) {
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(),
                                  [&](const Family& family) { return family.*field == value; });
  return found == kFamilies.end() ? nullptr : &*found;
}

}  // namespace

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

std::int64_t paired_row(std::int64_t row, std::int64_t head_dim) {
  const std::int64_t in_head = row % head_dim, half = head_dim / 2;
  return row - in_head + 2 * (in_head % half) + in_head / half;
}

}  // namespace graft
