#pragma once

#include <cstdint>
#include <vector>

#include "base/file.h"
#include "store/gguf_metadata.h"

namespace graft {

/// Sets the metadata tokenizer.* by which llama.cpp reads the tokenizer of the Hugging Face folder `folder`
/// and its chat templates: byte-level BPE as model "gpt2" with merges and the name of its pre-tokenizer,
/// sentencepiece (tokenizer.model, or a tokenizer.json with byte fallback) as model "llama" with scores;
/// token types, special tokens, whether beginning and end are added. `rows`: of the embedding; ids without a
/// token become
/// "[PADn]". `ends`: ids that end an answer, of which the first that is not the tokenizer's own is its end of
/// turn. Warns of tokens beyond the embedding, which are left out. Errors: as load_tokenizer; a tokenizer
/// that GGUF cannot describe (its part is named). Source: ggml/docs/gguf.md; llama.cpp, llama-vocab.cpp.
void set_tokenizer_metadata(const Path& folder, std::int64_t rows, const std::vector<std::int32_t>& ends,
                            GgufMetadata& metadata);

}  // namespace graft
