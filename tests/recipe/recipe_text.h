#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "recipe/recipe.h"

namespace graft {

/// The least that is a recipe; tests append what they are about.
inline constexpr const char* kMinimalRecipe =
    "output_dir: out\nmodel: {path: base}\ndata: {train: [{path: a.jsonl}]}\n";

/// load_recipe of this text, written to a file `recipe.yaml` in a fresh folder; messages name it
/// "recipe.yaml".
Recipe load_text(const std::string& text, const std::vector<std::string>& overrides = {});
/// kMinimalRecipe followed by `text`.
Recipe load_minimal(const std::string& text, const std::vector<std::string>& overrides = {});

struct Failure {
  ExitCode code = ExitCode::kDone;
  std::string message, hint;
};
/// The Error that `work` ends in; kDone where it ends in none.
Failure failure_of(const std::function<void()>& work);

}  // namespace graft
