#pragma once

#include <string>

namespace graft {

/// The type that activations and the frozen weights are computed in.
enum class ComputeDType { kBF16, kF32 };

/// How the frozen linears of the blocks are held in memory. Embedding and head keep the compute type, but for
/// kKeep, where every matrix stays as its file has it.
enum class Quantization {
  kNone,  ///< the compute type
  kNf4,   ///< bitsandbytes' 4-bit code book, blocks of 64, scales quantised again
  kQ8_0,  ///< GGUF's 8-bit blocks of 32
  kKeep   ///< the blocks of a GGUF
};

/// How products with the frozen linears of the blocks are computed.
enum class Compute {
  kAuto,  ///< in the compute type
  kInt8   ///< weights and inputs quantised to 8 bits, row by row; embedding, head and adapters as ever
};

/// Section `model` of a recipe.
struct ModelOptions {
  std::string path;  ///< Hugging Face folder or a .gguf file
  ComputeDType dtype = ComputeDType::kBF16;
  Quantization quantization = Quantization::kNone;
  Compute compute = Compute::kAuto;  ///< kInt8: with bf16 only
};

}  // namespace graft
