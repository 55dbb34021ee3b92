#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "export/weights.h"

namespace graft {

/// Bytes of tensors in one file, as Hugging Face's save_pretrained cuts them.
constexpr std::int64_t kShardBytes = 5'000'000'000;

/// Writes the tensors as model.safetensors, or as shards of at most `shard_bytes` (a larger tensor is a shard
/// alone) with their index, into an existing folder, each with `metadata` and "format": "pt" under
/// __metadata__. One piece of a tensor is in memory at a time; each value
/// is rounded once from fp32 to `dtype` (bf16, fp32 or fp16). Errors (kNumerics, naming the tensor): a value
/// that is not finite, or one that overflows f16.
void write_weights(const std::vector<ExportTensor>& tensors, at::ScalarType dtype,
                   const std::map<std::string, std::string>& metadata, const Path& folder,
                   std::int64_t shard_bytes = kShardBytes);

}  // namespace graft
