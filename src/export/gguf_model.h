#pragma once

#include <optional>
#include <string>

#include "base/file.h"
#include "export/gguf_types.h"
#include "export/merge_record.h"
#include "model/decoder.h"

namespace graft {

/// What write_gguf_model did with tensors whose type it could not keep.
struct GgufReport {
  std::int64_t tensors = 0;
  std::int64_t other_type = 0;  ///< tensors in a larger type than asked for
  std::string example;  ///< "blk.0.attn_q.weight: q5_0, for rows of 576 do not divide into blocks of q4_k"
};

/// Writes `model`, with the adapters in its slots merged, as the GGUF file `out`, whole or not at all, one
/// piece of a tensor in memory at a time. Of a Hugging Face folder `base`: metadata, tokenizer and chat
/// template as llama.cpp reads them, rows of arch llama's q and k in its order, Gemma's norms with their 1,
/// the experts of a block as one tensor [X,out,in]. Of a GGUF file `base`: its metadata and order of tensors;
/// rows that the merge leaves as they are keep their bytes where the type stays. `types`: none keeps each
/// tensor's own (bf16 of a folder). Load the model in fp32, unquantised, where the base's weights are not
/// bf16. Errors: what GGUF cannot say (gguf_hyperparameters, set_tokenizer_metadata), weights that are not
/// finite or do not fit (kNumerics), no room (kResource). `merged`: of a merge, what the file tells of
/// it: the record, the base as general.base_model.0, and the template that the adapter was trained with,
/// whose end of a turn becomes the file's.
GgufReport write_gguf_model(const Decoder& model, const Path& base, const Path& out,
                            const std::optional<GgufTypes>& types, const MergeRecord* merged = nullptr);

}  // namespace graft
