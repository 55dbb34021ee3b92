#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "model/decoder.h"
#include "peft/layout.h"
#include "peft/options.h"
#include "peft/stored_tensor.h"

namespace graft {

/// The adapters attached to one decoder: what is trained, saved, loaded and merged together.
struct AdapterSet {
  LoraOptions options;                ///< as trained; r, alpha, targets as the file says where loaded
  AdapterLayout layout;               ///< what is trained of which modules
  std::vector<std::string> modules;   ///< adapted modules, in model order
  std::vector<std::string> touched;   ///< matrices that anything is trained of
  std::vector<Parameter> parameters;  ///< fp32 masters, in a fixed order
  std::vector<StoredTensor> stored;   ///< what the adapter's file holds, parameters among it
  std::int64_t parameter_count() const;
};

/// Fills the slots of the modules that `options` names with fresh adapters; everything else stays frozen.
/// Initial values are pure functions of (seed, module) and the base's weights. With options.from:
/// load_adapter's work, checked against options. Errors (kUsage): a name that matches no module (the hint
/// lists the names there are). `drawn`: what draw_tensors gave for the same options and seed, or nothing.
AdapterSet attach_adapters(Decoder& model, const LoraOptions& options, std::uint64_t seed,
                           AdapterTensors drawn = {});

/// The random ones of the fresh tensors that attach_adapters gives a decoder of the same names and shapes, so
/// that they can be drawn while a base loads; none with options.from. Errors: as attach_adapters.
AdapterTensors draw_tensors(const Decoder& outline, const LoraOptions& options, std::uint64_t seed);

/// Adapters before there are any: what attach_adapters would attach.
struct AdapterOutline {
  LoraOptions options;               ///< r, alpha, targets as the file to continue from says
  std::vector<std::string> modules;  ///< adapted modules, in model order
  std::int64_t parameters = 0;
  std::int64_t active_parameters = 0;  ///< those that a token passes: of the experts its share
  std::int64_t ranks = 0;  ///< numbers that a token keeps for the backward of adapters: columns of x A^T, …
  std::int64_t first_block = 0;  ///< lowest block with an adapter: nothing is differentiated below it
};

/// Needs the names and shapes of `model` only. With options.from, that folder's config and tensor names.
/// Errors: as attach_adapters, but for what only the tensors themselves tell.
AdapterOutline outline_adapters(const Decoder& model, const LoraOptions& options);

/// What to do where an adapter's every B is zero.
enum class ZeroAdapter { kAccept, kWarn, kRefuse };

/// What to do where the adapter's metadata says that it was trained on another base.
enum class OtherBase { kRefuse, kWarn };

/// Reads a PEFT adapter folder, or a GGUF LoRA file, and fills the slots it names. Strict: missing,
/// unexpected, misshapen or non-finite tensors, unknown peft_type, features not yet supported, another base
/// than the recorded one: Errors (kBadInput) that name file and tensor or key.
AdapterSet load_adapter(Decoder& model, const Path& folder, ZeroAdapter zero,
                        OtherBase other = OtherBase::kRefuse);

/// Copies the tensors of a folder that save_adapter wrote for the same options into the adapters, bit for
/// bit. Errors name file and tensor: missing, left over, another shape or type.
void restore_adapter(const AdapterSet& adapters, const Path& folder);

/// Error (kUsage) where `wanted` says (LoraOptions::given, or a value that is not the default) another rank,
/// alpha, rsLoRA or set of modules than the adapter to continue from has.
void check_continues(const Decoder& model, const LoraOptions& wanted, const LoraOptions& file);

/// Writes adapter_config.json and adapter_model.safetensors (fp32, PEFT's names and shapes; `metadata` beside
/// "format": "pt") into an existing folder, each whole or not at all. base_path becomes
/// base_model_name_or_path.
void save_adapter(const AdapterSet& adapters, const Path& folder, const std::string& base_path,
                  const std::map<std::string, std::string>& metadata);

}  // namespace graft
