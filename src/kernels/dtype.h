#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "kernels/half.h"  // f32_of_bf16, bf16_of_f32, f32_of_f16, f16_of_f32

namespace graft {

/// How the numbers of a tensor are stored: plain types, and GGUF's blocks of quantised values.
enum class DType : std::uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU8,
  kBool,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kQ8_K,
  kIq4Nl,
  kIq4Xs
};

/// One row per DType. `values` share one block of `bytes` (1 for plain types).
struct DTypeTraits {
  DType dtype;
  std::string_view name;              ///< graft's spelling: "bf16", "q4_1"
  std::string_view safetensors;       ///< "BF16"; empty: not a safetensors type
  std::optional<std::uint32_t> ggml;  ///< ggml type number; none: not a GGUF type
  std::size_t values;
  std::size_t bytes;
};
const DTypeTraits& traits(DType dtype);
std::optional<DType> dtype_of_safetensors(std::string_view name);
std::optional<DType> dtype_of_ggml(std::uint32_t type);

/// True for the types that decode_to_f32 takes.
bool holds_floats(DType dtype);

/// Decodes `values` numbers of any float or block type to fp32, bit-equal to the gguf package's dequantize
/// (to ggml's for Q8_K, which the package does not decode). values is a multiple of the block; source.size()
/// is exactly the bytes that they take. No errors: callers check. Source: ggml-quants (block layouts), GGUF
/// v3.
void decode_to_f32(DType dtype, std::span<const std::byte> source, std::span<float> target);

}  // namespace graft
