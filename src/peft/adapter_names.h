#pragma once

#include <map>
#include <string>
#include <vector>

#include "peft/layout.h"
#include "peft/stored_tensor.h"
#include "store/tensor_view.h"

namespace graft {

/// The key of an adapter's tensor in PEFT's files.
std::string file_key(const std::string& name);

/// The tensors of an adapter's file under our names (AdapterTensors), whatever PEFT or the model's wrapper
/// put around them (without_adapter_name, unwrapped_path).
struct NamedTensors {
  std::map<std::string, const TensorView*> tensors;
  std::map<std::string, const TensorView*>
      base_copies;                 ///< the base's own weights, by module, which PEFT adds
  std::string wrapper = "model.";  ///< what stands in this file for the "model." in front of blocks
};

/// Errors name `where` and the tensor: a key without PEFT's prefix, one tensor under two keys, two wrappers.
NamedTensors name_tensors(const std::vector<TensorView>& tensors, const std::string& where);

/// Error where a tensor that `expected` names is missing, or one is there that it does not name: the first of
/// them, what it means, and the nearest name. `targets` is what chose the modules.
void check_names(const std::string& where, const NamedTensors& found, const std::vector<TensorSpec>& expected,
                 const std::string& targets = "target_modules");

}  // namespace graft
