#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "peft/adapter_folder.h"

namespace graft {

/// A prefix of module paths and what stands there instead; both whole parts of a path ("model.language_model"
/// -> "model"), either may be empty.
struct PrefixChange {
  std::string from, to;
};

/// Keys before and after, where they differ.
using RenamedKeys = std::vector<std::pair<std::string, std::string>>;

/// Writes the adapter with its keys as PEFT writes them (repaired_adapter_key) and `change` applied to the
/// paths of modules to the new folder `out`; numbers, types and other metadata stay byte for byte. The config
/// follows: paths in lists and patterns that start with the prefix; a regular expression, or a list that no
/// longer names the same modules, becomes the list of their paths. So does the recorded fingerprint of the
/// base; its hash, which covers the names, goes. -> what was renamed. Errors (kUsage): no path starts with
/// `from`, `out` exists; (kBadInput): two keys become one.
RenamedKeys rename_adapter(const AdapterFolder& adapter, const std::optional<PrefixChange>& change,
                           const Path& out);

}  // namespace graft
