#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "peft/expert_targets.h"
#include "peft/options.h"

namespace graft {

/// What adapter_config.json says.
struct AdapterConfig {
  LoraOptions options;
  bool has_rank = true;                        ///< r is there; else options.r is PEFT's default
  bool default_targets = false;                ///< target_modules is null: PEFT's choice for the architecture
  std::vector<std::string> target_parameters;  ///< ends of the paths of parameters with adapters of their own
  std::string base_model;                      ///< base_model_name_or_path, or empty
};

/// Reads PEFT's adapter_config.json. Keys that graft does not honour must hold the value at which they do
/// nothing. Errors name file and key: an unknown peft_type, a feature not supported (by name), a wrong type.
/// Unknown keys: a warning. Source: LoraConfig, VeraConfig, IA3Config of huggingface/peft 0.21.
AdapterConfig read_adapter_config(const Path& path);

/// The document that PEFT reads back to `options`, keys sorted as PEFT writes them, patterns in their own
/// order, for the first that matches counts. `modules`: the adapted paths, from which all-linear is written
/// as the list of last names; target lists are written as they are, but where `experts` say them.
Json adapter_config_json(const LoraOptions& options, const std::vector<std::string>& modules,
                         const std::string& base_path, const ExpertTargets& experts = {});

/// How many times the trained rank a written adapter has: 2 where what the weight gave is subtracted again.
std::int64_t written_rank_factor(const LoraOptions& options);

/// target_modules or exclude_modules: a list of names, one expression, or all-linear. Errors name the key.
TargetModules read_modules(const JsonView& value);

/// The keys of one peft_type alone: rows of the table of methods.
void read_lora_config(const JsonView& config, LoraOptions& options);
void write_lora_config(const LoraOptions& options, Json& config);
void read_vera_config(const JsonView& config, LoraOptions& options);
void write_vera_config(const LoraOptions& options, Json& config);
void read_ia3_config(const JsonView& config, LoraOptions& options);
void write_ia3_config(const LoraOptions& options, Json& config);

}  // namespace graft
