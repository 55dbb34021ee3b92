#pragma once

#include <optional>
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

/// A tensor that is no factor (magnitudes, weights trained whole, vectors) and is not the same in both.
struct TensorDifference {
  std::string name;
  /// Of its values; none where one file lacks it or shapes differ.
  std::optional<ProductDifference> of;
};

/// What lies between two adapters.
struct AdapterDifference {
  std::vector<ModuleDifference> modules;
  std::vector<std::string> only_first, only_second;  ///< modules
  std::vector<TensorDifference> other_tensors;       ///< those that differ, or are in one file alone
  ProductDifference total;                           ///< of all modules together, the lone ones beside zero
};

/// Reads both; B A is never built. Adapters without factors (VeRA, IA3) have other_tensors alone. Errors: two
/// types of adapters, check_factors, a module of another shape, values that are not finite.
AdapterDifference compare_adapters(const AdapterFolder& first, const AdapterFolder& second);

}  // namespace graft
