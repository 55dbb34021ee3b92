#pragma once

#include <string>

#include "cli/held_prompts.h"
#include "evaluate/golden.h"

namespace graft {

/// What made the predictions of a golden file.
struct GoldenOrigin {
  const Decoder& model;  ///< the base
  std::string base_path;
  std::string weights;  ///< as Golden::weights
  Path adapter;         ///< folder or GGUF LoRA
};

/// Predictions of base and adapter on prompts; `adapted` and `base` are what predictions() gives of both.
Golden make_golden(const GoldenOrigin& origin, const Prompts& prompts, const at::Tensor& adapted,
                   const at::Tensor& base);

/// Writes it whole or not at all.
void write_golden(const Golden& golden, const Path& path);

/// Where the golden file of `out` is: inside a folder, beside a file (model.gguf: model.golden.json).
Path golden_path(const Path& out);

/// The type that most of a base's weights are stored in: "bf16", "q4_1"; "nf4" of a folder quantised so.
std::string weights_word(const Path& base);

/// SHA-256 of the tensors of an adapter, a folder or a GGUF LoRA; empty where there is no such file.
std::string adapter_hash(const Path& adapter);

}  // namespace graft
