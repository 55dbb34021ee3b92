#pragma once

#include <string>

#include "model/decoder.h"

namespace graft {

/// The base at `path` in fp32 with every matrix left in its file, as it is stored there, and decoded wherever
/// it is used: slower than load_model, exact, and in no more memory than a few rows. What exports read.
/// Errors: as load_model.
Decoder load_in_files(const std::string& path);

}  // namespace graft
