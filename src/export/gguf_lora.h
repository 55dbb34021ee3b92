#pragma once

#include <string>

#include "model/decoder.h"
#include "peft/adapter_folder.h"

namespace graft {

/// What was written, and how far it is from the adapter.
struct LoraExport {
  std::int64_t modules = 0;
  double alpha = 0.0;       ///< adapter.lora.alpha
  double difference = 0.0;  ///< largest over modules of ||B' A' - s B A|| / ||s B A||, read again from disk
};

/// Writes a LoRA as the GGUF file `out` that llama.cpp puts on the GGUF of the same model: pairs NAME.lora_a
/// [R,in] and NAME.lora_b [out,R] (of the embedding, lora_a [vocab,R]), B's rows in the file's order for arch
/// llama's q and k. The experts of a block are one pair, [X,R,in] and [X,out,R], R being the largest of
/// their ranks: zeros fill up, and stand for experts without an adapter.
///
/// llama.cpp multiplies each pair by adapter.lora.alpha / R, R being the pair's own: one number for all. True
/// scales s differ from that with rsLoRA and with patterns of rank or alpha, so alpha is the commonest s R of
/// all pairs and the B of each other pair is multiplied by its s R / alpha. An adapter of one rank and alpha
/// keeps A and B as they are, rsLoRA too.
///
/// `type`: f32, f16, bf16 or q8_0 (f16 for what does not divide into its blocks). The file is read again and
/// compared. Errors: check_plain (DoRA, trained biases, modules saved whole: llama.cpp has none of them), a
/// module that `model` (an outline is enough) has not or of another shape, the head of a model that has none
/// of its own, a file that differs from the adapter by more than `type` rounds (kInternal).
LoraExport write_gguf_lora(const Decoder& model, const AdapterFolder& adapter, const Path& out, DType type);

/// "f32", "f16", "bf16", "q8_0". Error (kUsage): anything else.
DType parse_lora_type(const std::string& text);

}  // namespace graft
