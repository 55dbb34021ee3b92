#pragma once

#include "peft/adapter_folder.h"

namespace graft {

/// What became of the adapter.
struct PortableExport {
  std::int64_t modules = 0, rank = 0;
  bool exact = true;  ///< every scale was a power of two, so that no number was rounded
};

/// Writes a LoRA so that every program gives it the same scale, 1: one rank for all modules (rows and columns
/// of zeros added, exactly), lora_alpha = r, no patterns, no rsLoRA, the true scale multiplied into B. Types
/// stay; a scale that is no power of two rounds each number of B once. Errors: check_plain, `out` exists
/// (kUsage).
PortableExport write_portable(const AdapterFolder& adapter, const Path& out);

}  // namespace graft
