#pragma once

#include "base/file.h"
#include "model/decoder.h"
#include "peft/options.h"
#include "peft/stored_tensor.h"

namespace graft {

/// A GGUF LoRA file as a PEFT adapter would hold the same: every module targeted by its whole path, tensors
/// under our names, fp32. Where adapter.lora.alpha is 0 the scale is 1, as in llama.cpp.
struct GgufAdapter {
  LoraOptions options;
  AdapterTensors tensors;
  std::map<std::string, std::string> metadata;  ///< what names the base, where the file says it
};

/// Rows of B that GGUF keeps in another order are put back. Errors (kBadInput) name file and tensor or key:
/// not an adapter, of another architecture than the model, a tensor that the model has not, half a pair,
/// ranks that do not fit, a value that is not finite, an activated LoRA. Source: llama.cpp's
/// llama-adapter.cpp and convert_lora_to_gguf.py.
GgufAdapter read_gguf_adapter(const Decoder& model, const Path& path);

}  // namespace graft
