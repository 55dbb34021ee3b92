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
  std::vector<std::string> modules;            ///< in model order
  std::map<std::string, LoraFactors> factors;  ///< by module
};

/// The same without its factors: config and tensor names are read and checked, no tensor.
AdapterFile outline_adapter_file(const Decoder& model, const Path& folder);

/// Reads and checks what load_adapter loads; see there for the errors.
AdapterFile read_adapter(const Decoder& model, const Path& folder, ZeroAdapter zero, OtherBase other);

}  // namespace graft
