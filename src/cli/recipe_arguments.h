#pragma once

#include "cli/arguments.h"
#include "recipe/recipe.h"

namespace graft {

/// What every verb that reads a recipe is given.
struct RecipeArguments {
  std::string path;
  std::vector<std::string> overrides;
  bool json = false;

  /// Declares --json, which does what `json_doc` says, RECIPE and key=value….
  void declare(Arguments& parser, const std::string& json_doc) {
    parser.flag("json", json, json_doc);
    parser.operand("RECIPE", path);
    parser.operands("key=value", overrides);
  }
  /// Errors: as load_recipe.
  Recipe load() const { return load_recipe(path, overrides); }
};

}  // namespace graft
