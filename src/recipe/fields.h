#pragma once

#include <array>
#include <string>
#include <vector>

#include "recipe/recipe.h"
#include "recipe/type.h"

namespace graft {

/// The one table of keys: every key of a recipe with its type, range, member and one line of help. Reading,
/// writing, the JSON schema and did-you-mean are all made from it. `extends` is resolved before the table is
/// used (layers.h).
Type<Recipe> recipe_type();

/// All keys, as paths: "seed", "lora.r", …
std::vector<std::string> key_paths();

/// Two keys of which at most one may be in use, each with the value (as written) that means it is not.
struct ExclusiveKeys {
  struct Key {
    std::string path;
    Json off;  ///< null: whenever it is written, it is in use
  };
  Key first, second;
};
const std::array<ExclusiveKeys, 3>& exclusive_keys();

}  // namespace graft
