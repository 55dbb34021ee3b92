#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "peft/adapter_names.h"
#include "peft/options.h"

namespace graft {

/// Tensors that were taken apart: what NamedTensors points to. Must outlive them.
struct SplitTensors {
  std::deque<TensorView> views;
  std::deque<std::vector<float>> values;
};

/// Adapters on parameters (PEFT's target_parameters) as adapters on linears. Those of a weight are LoRA of
/// its linear. Those of all experts of a block, A [X*R,in] with the rows of an expert together and B
/// [out,R*X] with the columns of an expert X apart, become a pair of factors for each linear of each expert,
/// which computes the same: gate and up share A, or have a half of the rank each where PEFT put two adapters
/// side by side. `named` and `options` then say so: exact paths, ranks and alphas. `wrapper` of `named`
/// stands in front of the config's paths. Errors (`config` or `where`, the file, starts them): a tensor that
/// is missing or has another shape than r, patterns and base give. Source: ParamWrapper of huggingface/peft
/// 0.21.
SplitTensors split_parameters(const Decoder& model, const std::vector<std::string>& targets,
                              const std::string& config, const std::string& where, NamedTensors& named,
                              LoraOptions& options);

}  // namespace graft
