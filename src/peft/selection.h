#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/decoder.h"
#include "peft/adapter_set.h"
#include "peft/lora.h"

namespace graft {

/// Paths of all linears of the blocks, in model order (the output head is not among them).
std::vector<std::string> linear_paths(const Decoder& model);

/// Who wrote the targets: a recipe, whose every name must match (kUsage), or an adapter file, whose idle
/// names are warned about (kBadInput).
enum class TargetSource { kRecipe, kFile };

/// Paths of the linears that `options` targets, in model order, never empty. `where` starts the messages.
/// Errors: nothing matches, a name that matches nothing (recipe), the head or the embedding is targeted (not
/// yet).
std::vector<std::string> select_modules(const Decoder& model, const LoraOptions& options, TargetSource source,
                                        const std::string& where);

/// Puts a Lora into the slot of every group that has one of set.modules, with the factors that `factors_of`
/// gives, and fills set.parameters.
void install_lora(Decoder& model, AdapterSet& set,
                  const std::function<LoraFactors(const Linear&)>& factors_of);

}  // namespace graft
