#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace graft {

/// Those of `modules` that target_modules and exclude_modules of an adapter's config do not select: PEFT
/// drops their tensors without a word. None where the config leaves the choice to the architecture or ties
/// adapters. `modules`: none that is part of a target parameter. `where` names the config in errors: a
/// malformed key or expression.
std::vector<std::string> untargeted_modules(const Json& config, const std::string& where,
                                            const std::vector<std::string>& modules);

/// Writes exactly `modules` into the config, by their paths, in place of whatever chose them.
void name_targets(Json& config, std::vector<std::string> modules);

}  // namespace graft
