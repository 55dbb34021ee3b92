#pragma once

#include <string_view>

#include "base/file.h"
#include "export/merge_record.h"
#include "export/proof.h"
#include "model/decoder.h"

namespace graft {

/// How the numbers of an exported model are stored.
enum class WeightType { kBF16, kF32, kF16 };

/// "bf16", "f32" (also "fp32"), "f16" (also "fp16"). Error (kUsage): anything else.
WeightType parse_weight_type(std::string_view text);

/// Writes `model`, with the adapters in its slots merged, as a Hugging Face folder that appears at `out`
/// whole or not at all: config.json, model.safetensors (shards of 5 GB, one tensor in memory at a time, one
/// rounding from fp32) and the tokenizer's files, copied from the folder `base` or written from the metadata
/// of the GGUF file `base`. The folder is loaded again and compared with `model` before it appears: -> what
/// the comparison found. Load the model in fp32 where its numbers must not be rounded before the merge (a
/// GGUF base; type f32 or f16). Errors: `out` exists (kUsage), no room (kResource), weights that are not
/// finite or do not fit f16 (kNumerics), a tokenizer that cannot be written (the part is named), a comparison
/// that fails (kInternal).
/// `merged`: of a merge, what the folder tells of it: the record under __metadata__ of every file of weights,
/// and the template that the adapter was trained with.
Proof write_hf_folder(const Decoder& model, const Path& base, const Path& out, WeightType type,
                      const MergeRecord* merged = nullptr);

}  // namespace graft
