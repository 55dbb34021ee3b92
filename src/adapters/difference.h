#pragma once

#include <string>
#include <vector>

#include "adapters/spectrum.h"
#include "peft/adapter_folder.h"

namespace graft {

/// One module that both adapters have.
struct ModuleDifference {
  std::string module;
  ProductDifference of;  ///< scale B A of the first beside that of the second
};

/// What lies between two adapters. Of two with other tensors than factors (magnitudes, weights trained whole)
/// those are compared too.
struct AdapterDifference {
  std::vector<ModuleDifference> modules;
  std::vector<std::string> only_first, only_second;  ///< modules
  std::vector<std::string> other_tensors;            ///< those that differ, or are in one file alone
  ProductDifference total;                           ///< of all modules together, the lone ones beside zero
};

/// Reads both; B A is never built. Errors: check_factors, a module of another shape, values that are not
/// finite.
AdapterDifference compare_adapters(const AdapterFolder& first, const AdapterFolder& second);

}  // namespace graft
