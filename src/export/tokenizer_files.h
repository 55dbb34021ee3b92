#pragma once

#include "base/file.h"
#include "model/config.h"

namespace graft {

/// Puts what other tools need to read and write the base's tokens into an existing folder: tokenizer, chat
/// template, generation settings, licence. Copied from the folder `base`, or written from the metadata of the
/// GGUF file `base`. Errors: a tokenizer that cannot be written (the part is named).
void write_tokenizer_files(const Path& base, const ModelConfig& config, const Path& folder);

}  // namespace graft
