#pragma once

#include <string>

namespace graft {

/// The type that activations and the frozen weights are computed in.
enum class ComputeDType { kBF16, kF32 };

/// Section `model` of a recipe.
struct ModelOptions {
  std::string path;  ///< Hugging Face folder or a .gguf file
  ComputeDType dtype = ComputeDType::kBF16;
};

}  // namespace graft
