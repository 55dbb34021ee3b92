#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "store/gguf.h"

namespace graft {

/// The members added_tokens, normalizer, pre_tokenizer, decoder and model of a tokenizer.json that does what
/// the sentencepiece BPE vocabulary of a GGUF file (tokenizer.ggml.model "llama") does; `tokens` are its
/// pieces, without fillers, and `added_tokens` those that are more than pieces. Merges are rebuilt from the
/// pieces' scores. Errors name the key: rules of normalization that a GGUF does not carry in full, scores
/// that are missing.
Json pieces_json(const GgufFile& file, const std::vector<std::string>& tokens, Json added_tokens);

}  // namespace graft
