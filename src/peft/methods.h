#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/json.h"
#include "peft/layout.h"
#include "peft/linear_adapter.h"

namespace graft {

/// A method, as the rest of the room sees it: one row of a table.
struct Method {
  AdapterMethod method;
  std::string_view name;       ///< lora.method of a recipe
  std::string_view peft_type;  ///< of adapter_config.json

  /// What a file holds of the adapted modules.
  std::vector<TensorSpec> (*tensors)(const AdapterLayout& layout, const LoraOptions& options);
  /// Values of fresh tensors that do not depend on the base's numbers: pure functions of (seed, module).
  void (*draw)(const AdapterLayout& layout, const LoraOptions& options, std::uint64_t seed,
               AdapterTensors& to);
  /// Values of a module's fresh tensors that do; null: there are none.
  void (*derive)(const AdaptedModule& module, const FrozenWeight& weight, const LoraOptions& options,
                 std::uint64_t seed, AdapterTensors& to);
  /// The adapter of a linear.
  std::shared_ptr<const LinearAdapter> (*make)(const AdaptedModule& module, const LoraOptions& options,
                                               const AdapterTensors& tensors);
  /// Numbers that a token keeps for the backward of a module.
  std::int64_t (*kept)(const AdaptedModule& module, const LoraOptions& options);
  /// Reads and writes the keys of adapter_config.json that are the method's own.
  void (*read_config)(const JsonView& config, LoraOptions& options);
  void (*write_config)(const LoraOptions& options, Json& config);
};

std::span<const Method> methods();
const Method& method_of(const LoraOptions& options);

/// Whether the factors start as parts of the weight, which are subtracted again.
bool starts_from_weight(const LoraOptions& options);

}  // namespace graft
