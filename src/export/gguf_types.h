#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/tensor_view.h"

namespace graft {

/// A mix of types that the tensors of a GGUF file are stored in, named by the one that most have.
struct GgufTypes {
  std::string_view name;  ///< "q4_k"
  DType matrices;         ///< of the linears and the embedding
  DType head;             ///< of the head, and of an embedding that is the head
  DType more;             ///< of values and down projections where more bits pay (llama.cpp's use_more_bits)
  std::uint32_t file_type;  ///< general.file_type: enum llama_ftype
};

/// "bf16", "f16" (also "fp16"), "f32" (also "fp32"), "q8_0", "q4_0", "q4_k" (llama.cpp's Q4_K_M), "q6_k".
/// Error (kUsage): anything else.
const GgufTypes& parse_gguf_types(std::string_view text);

/// The type of one tensor of a model of `layers` blocks: as the mix says, by llama.cpp's rules; vectors and
/// the routers of experts are F32; where a row does not divide into blocks, the nearest larger type that
/// fits. `tied`: the embedding is the head too.
DType gguf_type(const GgufTypes& types, const TensorView& tensor, std::int64_t layers, bool tied);

/// `dtype` where it can be written and rows of `width` divide into its blocks, else the nearest larger type
/// of which that is true.
DType writable_type(DType dtype, std::int64_t width);

}  // namespace graft
