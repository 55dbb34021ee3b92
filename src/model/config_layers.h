#pragma once

#include "model/config.h"
#include "model/families.h"

namespace graft {

/// Fills config.ropes and config.layers from a config.json: which blocks have a window, and how each rotates
/// queries and keys. Errors name the pointer: a type of layer or scaling that graft does not compute, a list
/// of another length than there are blocks.
void read_layers(const JsonView& json, const Family& family, ModelConfig& config);

/// Fills config.experts and the sparse of config.layers. Errors name the pointer: a number that is missing or
/// absurd, more experts for a token than there are.
void read_experts(const JsonView& json, const Family& family, ModelConfig& config);

}  // namespace graft
