#pragma once

#include <string>
#include <vector>

#include "recipe/yaml.h"

namespace graft {

/// The YAML of a recipe as one tree: its parents (`extends`, resolved and removed) under the file itself, and
/// that under the overrides. Maps merge key by key, everything else replaces; each value keeps the place
/// where it was written. A key replaces the key that excludes it in a lower layer (`train.max_steps=5` over a
/// file with epochs). Errors: kUsage with the place; kBadInput where a file is missing.
YamlNode load_layers(const Path& path, const std::vector<std::string>& overrides);

/// The value at a dotted path ("train.epochs"), or null.
const YamlNode* find_path(const YamlNode& root, const std::string& path);

}  // namespace graft
