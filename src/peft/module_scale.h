#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace graft {

/// Rank and scale of one adapted module.
struct ModuleScale {
  std::int64_t rank = 0;
  double scale = 0.0;  ///< of B A
  bool operator==(const ModuleScale&) const = default;
};

/// What an adapter's config gives each module: r, lora_alpha (PEFT's defaults where absent), rank_pattern and
/// alpha_pattern in file order, use_rslora. Errors name the key.
std::vector<ModuleScale> scales_of(const JsonView& config, const std::vector<std::string>& modules);

/// What r, lora_alpha and use_rslora alone give: what a loader takes that does not read patterns.
ModuleScale global_scale(const JsonView& config);

/// The alpha that gives a module its scale. What differs from a whole number by rounding is one.
double alpha_of(const ModuleScale& module, bool rslora);

/// Writes r, lora_alpha and patterns so that scales_of gives `scales` again, use_rslora as it stands: the
/// usual values at the top, or `usual_rank` where it is not 0, the others by the paths of their modules.
/// init_lora_weights becomes true.
void set_scales(Json& config, const std::vector<std::string>& modules, const std::vector<ModuleScale>& scales,
                std::int64_t usual_rank = 0);

/// A whole number as an integer: 16, not 16.0.
Json number_json(double value);

}  // namespace graft
