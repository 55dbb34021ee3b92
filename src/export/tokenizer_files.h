#pragma once

#include "base/file.h"
#include "model/config.h"
#include "text/chat.h"

namespace graft {

/// Puts what other tools need to read and write the base's tokens into an existing folder: tokenizer, chat
/// template, generation settings, licence. Copied from the folder `base`, or written from the metadata of the
/// GGUF file `base`. Errors: a tokenizer that cannot be written (the part is named).
void write_tokenizer_files(const Path& base, const ModelConfig& config, const Path& folder);

/// Makes `source` (Jinja) the chat template of a folder that write_tokenizer_files has filled: in
/// chat_template.jinja, and in tokenizer_config.json where there is one.
void write_chat_template(const std::string& source, const Path& folder);

/// The same of the template that an adapter was trained with, whose end of a turn also becomes an end in
/// generation_config.json beside those of `config`.
void write_trained_template(const ChatTemplate& chat, const ModelConfig& config, const Path& folder);

}  // namespace graft
