#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "peft/expert_stacks.h"
#include "peft/options.h"

namespace graft {

inline constexpr char kEmbeddingPath[] = "model.embed_tokens";

/// What a module of a base is to an adapter.
enum class ModuleKind { kEmbedding, kLinear, kNorm, kHead };

/// A module of a base that has a weight.
struct ModuleView {
  std::string path;  ///< "model.layers.0.self_attn.q_proj"
  ModuleKind kind = ModuleKind::kLinear;
  std::vector<std::int64_t> shape;  ///< of its weight
  bool has_bias = false;
};

/// All of them in model order: embedding, the blocks' linears and norms, the last norm, head.
std::vector<ModuleView> modules_of(const Decoder& model);

/// A matrix with an adapter of its own.
struct AdaptedModule {
  std::string path;
  ModuleKind kind = ModuleKind::kLinear;
  std::int64_t out = 0, in = 0;  ///< of its weight; of the embedding V and D
  std::int64_t r = 0;
  double scale = 1.0;    ///< alpha / r, or alpha / sqrt(r), of this module
  bool b_bias = false;   ///< B has a bias [out]
  bool mirrors = false;  ///< the head, whose factors are those of the embedding it is tied to
};

/// What an adapter trains of a base, before any of its tensors exists.
struct AdapterLayout {
  std::vector<AdaptedModule> adapted;  ///< in model order
  std::vector<ModuleView> whole;       ///< trained whole: weight, and bias where there is one
  std::vector<ModuleView> biases;      ///< linears whose bias is trained
  std::vector<std::int64_t> tokens;    ///< ids whose rows of the embedding are trained
  std::int64_t width = 0;              ///< of the embedding's rows
  std::int64_t vocabulary = 0;
  bool tied = false;         ///< embedding and head are one matrix
  bool tied_head = false;    ///< what is trained of the head is the embedding's (ensure_weight_tying)
  ExpertParameters experts;  ///< of the base, adapted or not

  const AdaptedModule* find(const std::string& path) const;
  /// Paths of the matrices that anything is trained of, in model order.
  std::vector<std::string> matrices() const;
  /// Paths of the adapted modules.
  std::vector<std::string> adapted_paths() const;
};

/// Who wrote the targets: a recipe, whose every name must match (kUsage), or an adapter file, whose idle
/// names are warned about (kBadInput).
enum class TargetSource { kRecipe, kFile };

/// What `options` trains of the model, of which names and shapes are needed. `where` starts the messages
/// about targets. `wrapper` is what stands in the adapter's files for the "model." in front of blocks and
/// embedding: names and expressions are held against those paths. Errors: nothing matches, a name that
/// matches nothing (recipe), a token that is not in the vocabulary, a method that has no form for the
/// embedding, an odd rank for orthogonal factors.
AdapterLayout lay_out(const Decoder& model, const LoraOptions& options, TargetSource source,
                      const std::string& where, const std::string& wrapper = "model.");

/// alpha / r, or alpha / sqrt(r).
double lora_scale(std::int64_t r, double alpha, bool use_rslora);

}  // namespace graft
