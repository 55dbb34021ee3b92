#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "peft/adapter_key.h"
#include "peft/config_keys.h"
#include "peft/factor_pairs.h"
#include "store/safetensors.h"

namespace graft {

/// The names of the two files of an adapter folder.
inline constexpr char kAdapterConfigName[] = "adapter_config.json";
inline constexpr char kAdapterTensorsName[] = "adapter_model.safetensors";

/// A PEFT adapter folder read without its base: what the tools for adapter files work on.
struct AdapterFolder {
  Path path;
  Json config;                                  ///< adapter_config.json, keys in file order
  std::shared_ptr<const SafetensorsFile> file;  ///< mapped; the views point into it
  std::vector<FactorPair> pairs;                ///< by module, layer 2 before layer 10
  std::vector<const TensorView*> others;        ///< every tensor that is no factor, in file order

  /// The config with the path of its file, for typed reading.
  JsonView view() const { return {config, (path / kAdapterConfigName).string()}; }
  /// "LORA", "VERA", …
  std::string peft_type() const { return peft_type_of(view()); }
};

/// Error where the folder has its tensors in adapter_model.bin alone.
void refuse_pickle(const Path& folder);

/// Reads config and header; tensors only when they are asked for. Names that hold the adapter's name or lack
/// "base_model.model." are taken as what they stand for. Errors: no folder, a pickle instead of safetensors,
/// a malformed config or file, a factor that is no matrix or there twice.
AdapterFolder open_adapter_folder(const Path& path);

/// Error, naming tensor or key, unless the file holds factors, every module both of them, of one rank, of
/// floating-point numbers, and the rank is the config's. `verb` says what needs it.
void check_pairs(const AdapterFolder& adapter, const std::string& verb);

/// Also: a LoRA (or DoRA) whose A and B are what it adds: no parts of the base's weight (init_lora_weights),
/// no variant with other mathematics.
void check_factors(const AdapterFolder& adapter, const std::string& verb);

/// Also: it adds scale B A to linears and nothing else: no DoRA, no biases, nothing trained whole, no
/// parameters.
void check_plain(const AdapterFolder& adapter, const std::string& verb);

/// What one pass over a tensor's values tells.
struct ValueScan {
  bool all_finite = true, all_zero = true;
  double squares = 0.0;  ///< sum of squares
};
/// Of floating-point numbers, in little memory however large the tensor is.
ValueScan scan_values(const TensorView& tensor);

/// The tensor's values as fp32, in its shape.
at::Tensor read_values(const TensorView& tensor);
/// A factor as fp32, [rows,columns]. Error: a value that is not finite. `where` names the file.
at::Tensor read_factor(const TensorView& tensor, const Path& where);

}  // namespace graft
