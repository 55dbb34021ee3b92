#pragma once

#include <optional>
#include <string>

#include "base/file.h"
#include "text/chat.h"

namespace graft {

/// What an Ollama Modelfile is written of.
struct Modelfile {
  Path model;                ///< whose tokenizer and chat template count: GGUF file or Hugging Face folder
  std::string from;          ///< what FROM names, as seen from the folder of the Modelfile
  std::string adapter = {};  ///< what ADAPTER names; empty: there is none
  std::optional<ChatTemplate> chat = std::nullopt;  ///< the adapter's, where it is not the model's
};

/// FROM, ADAPTER, the ends of an answer as stop tokens, and, where the chat template writes what Ollama's
/// form of ChatML, Llama 3, Gemma or Phi 3 writes, that TEMPLATE and its default SYSTEM text; other templates
/// Ollama takes from the model itself. Source: ollama/docs/modelfile.
void write_modelfile(const Modelfile& modelfile, const Path& out);

}  // namespace graft
