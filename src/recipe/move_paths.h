#pragma once

#include <string>

#include "base/file.h"

namespace graft {

/// The text of the recipe file at `from` with every relative path in it (extends, model.path, lora.from, data
/// paths, a .jinja template) rewritten for a file in `folder` (absolute), so that it means the same file
/// there. Comments and everything else stay as they are. Errors: the file is not strict YAML (kUsage, with
/// place).
std::string with_moved_paths(const Path& from, const Path& folder);

}  // namespace graft
