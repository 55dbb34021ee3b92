#pragma once

#include "base/file.h"
#include "base/json.h"
#include "model/config.h"
#include "store/gguf.h"

namespace graft {

/// The tokenizer of a GGUF file as Hugging Face's tokenizer.json. Errors name the key: a kind of tokenizer or
/// a pre-tokenizer that graft cannot write, lists of different lengths, duplicate tokens.
Json tokenizer_json(const GgufFile& file);

/// Writes tokenizer.json, tokenizer_config.json (chat template, special tokens), special_tokens_map.json,
/// chat_template.jinja and generation_config.json from the metadata of a GGUF file into an existing folder.
void write_tokenizer_files(const GgufFile& file, const ModelConfig& config, const Path& folder);

}  // namespace graft
