#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/layout.h"
#include "peft/options.h"

namespace graft {

/// How an adapter's config says its targets where a linear of the base is part of a parameter in transformers
/// 5, whose PEFT computes neither dropout nor anything but LoRA there. The tensors stay those of single
/// linears: PEFT puts them together, if what it is told of ranks and scales is what it then finds.
struct ExpertTargets {
  bool any = false;  ///< experts or routers are adapted
  /// Whether PEFT on transformers 5 can: experts of a block with one rank, gate and up both, with one
  /// scale, and down beside them, without which it drops their tensors.
  bool have_form = true;
  /// Set where last names do not say it: PEFT would take those of MLPs without experts, or of some blocks
  /// alone, for those of all experts, and give gate and up together alpha / r of twice both, which is another
  /// scale with rsLoRA.
  struct Parameters {
    std::vector<std::string> target_modules;     ///< paths
    std::vector<std::string> target_parameters;  ///< paths
    ModulePattern<std::int64_t> ranks;           ///< of parameters; in front of the others
    ModulePattern<double> alphas;
  };
  std::optional<Parameters> parameters;
};

/// `layout` is what `options` train; the written rank is `rank_factor` times that of the layout.
ExpertTargets expert_targets(const AdapterLayout& layout, const LoraOptions& options,
                             std::int64_t rank_factor);

}  // namespace graft
