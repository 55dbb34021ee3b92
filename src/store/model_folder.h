#pragma once

#include <vector>

#include "base/file.h"

namespace graft {

/// The files of a Hugging Face folder that decide how its model reads and writes text: tokenizer and chat
/// templates, those that it has, as paths relative to it.
std::vector<Path> tokenizer_files(const Path& folder);

/// Copies them, the generation settings and the licence from one folder into another, which exists. Not:
/// weights, configurations, anything about the run that made an adapter.
void carry_tokenizer(const Path& from, const Path& to);

}  // namespace graft
