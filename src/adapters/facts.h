#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "peft/adapter_folder.h"
#include "peft/adapter_set.h"

namespace graft {

/// What loaders care about in an adapter: read from its config and the names, types and shapes of its
/// tensors, so that a recipe's adapter can be judged before it exists.
struct AdapterFacts {
  std::string peft_type = "LORA";
  std::string init;            ///< init_lora_weights where it makes A and B parts of the base, else empty
  bool start_is_lost = false;  ///< and neither file nor base tells what they were
  std::string variant;         ///< key of a LoRA variant that is on ("use_qalora"), or empty
  std::string bias;            ///< "bias" other than none, "lora_bias", or empty
  std::int64_t rank = 0;       ///< the largest of a module
  bool scales_differ = false;  ///< rank_pattern or alpha_pattern give a module another scale
  bool alphas_differ = false;  ///< alpha_pattern gives a module another alpha
  bool use_rslora = false, use_dora = false;
  bool alpha_is_zero = false;
  bool on_embedding = false, on_head = false, on_experts = false;
  bool experts_apart = false;  ///< its experts have no form as parameters of transformers 5
  bool replicates_layers = false, is_activated = false;
  std::vector<std::string> missing_keys;    ///< of r, lora_alpha, target_modules
  std::vector<std::string> saved_whole;     ///< modules trained whole
  std::vector<std::string> base_weights;    ///< tensors that copy the base's own
  std::vector<std::string> trained_tokens;  ///< modules of which single rows are trained
  std::vector<std::string> unpaired;        ///< modules that lack A or B, or whose ranks do not fit
  std::vector<std::string> not_floats;      ///< tensors of integers
  std::vector<std::string> unprefixed;      ///< tensors without base_model.model.
  std::vector<std::string> odd_names;       ///< tensors that repaired_adapter_key renames otherwise
  std::vector<std::string> wrapped;         ///< modules of a class for text and images
  std::string wrapper;                      ///< where that class keeps its text model
  std::vector<std::string> untargeted;      ///< modules that the config does not target
  std::vector<std::string> not_finite;      ///< tensors; read_values only
  bool changes_nothing = false;             ///< every B is zero; read_values only
};

/// From a config document and tensors of which only name, type and shape are looked at. `where` names the
/// config in errors: malformed keys.
AdapterFacts facts_of(const Json& config, const std::vector<TensorView>& tensors, const std::string& where);

/// Of an adapter on disk: also reads every value.
AdapterFacts facts_of(const AdapterFolder& adapter);

/// Of an adapter as save_adapter will write it: a recipe's, before it is trained.
AdapterFacts facts_of(const AdapterSet& adapters);

}  // namespace graft
