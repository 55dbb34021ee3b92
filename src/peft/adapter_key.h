#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace graft {

/// What a tensor of an adapter file is.
enum class AdapterPart {
  kA,            ///< lora_A, or lora_embedding_A
  kB,            ///< lora_B, or lora_embedding_B
  kBiasOfB,      ///< lora_B.bias
  kMagnitude,    ///< DoRA's magnitudes
  kTokens,       ///< rows that replace rows of the embedding
  kBaseWeight,   ///< a copy of the base's own weight
  kTrainedBias,  ///< a bias of the base, trained
  kVera,         ///< VeRA's vectors and shared matrices
  kIa3,          ///< IA3's scales
  kTraining,     ///< what a variant of LoRA needs to go on training (VeLoRA, MonteCLoRA)
  kWhole,        ///< a weight or bias trained whole (modules_to_save)
};

/// One key of adapter_model.safetensors, taken apart.
struct AdapterKey {
  std::string module;  ///< path of the module in the base, without "base_model.model."
  AdapterPart part = AdapterPart::kWhole;
  bool of_embedding = false;  ///< lora_embedding_A or _B: A [R,vocab], B [hidden,R]
};

/// What every key of PEFT starts with.
inline constexpr std::string_view kAdapterKeyPrefix = "base_model.model.";

/// Takes apart a key as PEFT writes it, or one that still has the name of the adapter in it. Source: the
/// state dict of huggingface/peft's save_pretrained.
AdapterKey parse_adapter_key(std::string_view key);

/// The key without what PEFT puts into it in memory: the adapter's name ("lora_A.default.weight"),
/// "modules_to_save.", ".weight" of a magnitude.
std::string without_adapter_name(std::string_view key);

/// The path of a module or tensor in a language model by itself.
struct UnwrappedPath {
  std::string path;                    ///< "model.layers.0…", "lm_head.weight"
  std::optional<std::string> wrapper;  ///< what stood for its "model.", where the path shows it
};
/// Takes off what stands for "model." where a language model is part of another one: "model.language_model.",
/// "language_model.model.", … in front of blocks, embedding and norm; "language_model." in front of the head.
UnwrappedPath unwrapped_path(std::string_view path);

/// The key as PEFT writes it: without the name of an adapter ("lora_A.default.weight"), with one
/// "base_model.model.", without the prefixes that wrappers of a model leave in its paths ("_orig_mod." of
/// torch.compile, "module." of DataParallel, FSDP's and checkpointing's).
std::string repaired_adapter_key(std::string_view key);

/// "down_proj" of "model.layers.0.mlp.down_proj".
std::string_view last_name(std::string_view path);

/// Orders paths as people do: "layers.2" before "layers.10".
bool path_before(std::string_view a, std::string_view b);

}  // namespace graft
