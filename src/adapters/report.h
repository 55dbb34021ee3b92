#pragma once

#include <optional>
#include <string>
#include <vector>

#include "peft/adapter_folder.h"

namespace graft {

/// What one module's scale B A does.
struct ProductReport {
  double norm = 0.0;     ///< Frobenius
  double largest = 0.0;  ///< singular value
  double effective_rank = 0.0;
  std::int64_t rank_99 = 0;  ///< singular values that hold 99 % of the sum of squares
};

struct ModuleReport {
  std::string module;
  std::int64_t rank = 0, out = 0, in = 0;
  double scale = 0.0, norm_a = 0.0, norm_b = 0.0;
  ProductReport product;  ///< of fused experts all together: the largest value, the mean effective rank, the
                          ///< largest rank_99
  std::vector<ProductReport> experts;  ///< of a parameter of fused experts, one by one
};

/// A tensor that is no factor.
struct TensorReport {
  std::string name, dtype;
  std::vector<std::int64_t> shape;
  double norm = 0.0;
};

/// What `graft adapter inspect` tells.
struct AdapterReport {
  std::string path, method, peft_type, base_path, dtype;  ///< method: "rsLoRA", "DoRA", …
  Json r, alpha, targets;                                 ///< as the config has them
  std::int64_t parameters = 0;
  std::uint64_t bytes = 0;  ///< of the file of tensors
  bool changes_nothing = false;
  std::optional<std::string> base_sha256;
  std::string
      base_quantization;  ///< "nf4" or "q8_0" where the base was quantised for the training; empty: not
  std::optional<std::int64_t> recorded_signs;
  std::vector<ModuleReport> modules;
  std::vector<TensorReport> others;
};

/// Reads every tensor once; B A is never built. Errors: check_pairs (but no factors at all is fine), a value
/// that is not finite.
AdapterReport report_adapter(const AdapterFolder& adapter);

}  // namespace graft
