#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "peft/adapter_set.h"
#include "peft/lora.h"

namespace graft {

/// A PEFT adapter folder that fits a base: read and checked, not attached.
struct AdapterFile {
  LoraOptions options;
  AdapterLayout layout;
  std::vector<std::string> modules;            ///< adapted ones, in model order
  AdapterTensors tensors;                      ///< fp32, under the names of their modules in this base
  std::map<std::string, LoraFactors> factors;  ///< of LoRA's and DoRA's linears, by module
};

/// The same without its tensors: config and tensor names are read and checked.
AdapterFile outline_adapter_file(const Decoder& model, const Path& folder);

/// Reads and checks what load_adapter loads; see there for the errors.
AdapterFile read_adapter(const Decoder& model, const Path& folder, ZeroAdapter zero, OtherBase other);

}  // namespace graft
