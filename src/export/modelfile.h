#pragma once

#include "base/file.h"

namespace graft {

/// An Ollama Modelfile for the GGUF file `model`: FROM, the ends of an answer as stop tokens, and, where the
/// file's chat template writes what Ollama's form of ChatML, Llama 3, Gemma or Phi 3 writes, that TEMPLATE
/// and its default SYSTEM text; other templates Ollama takes from the file itself. Source:
/// ollama/docs/modelfile.
void write_modelfile(const Path& model, const Path& out);

}  // namespace graft
