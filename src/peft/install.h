#pragma once

#include "peft/adapter_set.h"
#include "peft/layout.h"
#include "peft/stored_tensor.h"

namespace graft {

/// What the file of an adapter with this layout holds: of the method, of modules trained whole, of biases and
/// tokens.
std::vector<TensorSpec> tensors_of(const AdapterLayout& layout, const LoraOptions& options);

/// Fills in the fresh values that are made of the base's own numbers.
void derive_tensors(const Decoder& model, const AdapterLayout& layout, const LoraOptions& options,
                    std::uint64_t seed, AdapterTensors& tensors);

/// Computes what the trained factors in `tensors` were before training, where that was parts of the base's
/// weight (starts_from_weight), which is taken to be what it was then.
void derive_starts(const Decoder& model, const AdapterLayout& layout, const LoraOptions& options,
                   AdapterTensors& tensors);

/// Puts adapters made of the tensors into the model's slots.
AdapterSet install_adapters(Decoder& model, const AdapterLayout& layout, const LoraOptions& options,
                            const AdapterTensors& tensors);

}  // namespace graft
