#include "export/gguf_types.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::array kMixes = {
    GgufTypes{"bf16", DType::kBF16, DType::kBF16, DType::kBF16, 32},
    GgufTypes{"f16", DType::kF16, DType::kF16, DType::kF16, 1},
    GgufTypes{"f32", DType::kF32, DType::kF32, DType::kF32, 0},
    GgufTypes{"q8_0", DType::kQ8_0, DType::kQ8_0, DType::kQ8_0, 7},
    GgufTypes{"q4_0", DType::kQ4_0, DType::kQ6_K, DType::kQ4_0, 2},
    GgufTypes{"q4_k", DType::kQ4_K, DType::kQ6_K, DType::kQ6_K, 15},
    GgufTypes{"q6_k", DType::kQ6_K, DType::kQ6_K, DType::kQ6_K, 18},
};

/// What stands in for a type: llama.cpp's choice where rows do not divide (tensor_type_fallback), and for
/// types that are only read the K-quant above them.
constexpr DType larger(DType dtype) {
  switch (dtype) {
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kIq4Xs:
    case DType::kIq4Nl:
      return DType::kQ4_K;
    case DType::kQ4_K:
      return DType::kQ5_0;
    case DType::kQ5_K:
      return DType::kQ5_1;
    case DType::kQ6_K:
    case DType::kQ8_K:
      return DType::kQ8_0;
    case DType::kF64:
      return DType::kF32;
    default:
      return DType::kF16;
  }
}

/// The number in "blk.N.…", or -1.
std::int64_t block_of(std::string_view name) {
  constexpr std::string_view kStart = "blk.";
  std::int64_t number = -1;
  if (name.starts_with(kStart))
    std::from_chars(name.data() + kStart.size(), name.data() + name.size(), number);
  return number;
}

/// The first and last eighth of the blocks and every third between: where llama.cpp spends more bits.
bool gets_more_bits(std::int64_t block, std::int64_t blocks) {
  return block < blocks / 8 || block >= 7 * blocks / 8 || (block - blocks / 8) % 3 == 2;
}

}  // namespace

const GgufTypes& parse_gguf_types(std::string_view text) {
  const std::string_view word = text == "fp16" ? "f16" : text == "fp32" ? "f32" : text;
  const auto found = std::ranges::find(kMixes, word, &GgufTypes::name);
  if (found != kMixes.end()) return *found;
  std::vector<std::string> names;
  for (const GgufTypes& mix : kMixes) names.emplace_back(mix.name);
  fail(ExitCode::kUsage, "unknown type of weights (got ", printable(text), ", want one of ",
       join(names, ", "), ")");
}

DType writable_type(DType dtype, std::int64_t width) {
  while (!can_encode(dtype) || static_cast<std::size_t>(width) % traits(dtype).values != 0)
    dtype = larger(dtype);
  return dtype;
}

DType gguf_type(const GgufTypes& types, const TensorView& tensor, std::int64_t layers, bool tied) {
  if (tensor.shape.size() < 2) return DType::kF32;
  const std::string_view name = tensor.name;
  if (name.ends_with(".ffn_gate_inp.weight")) return DType::kF32;  // a wrong expert is no rounding error
  const bool head = name == "output.weight" || (tied && name == "token_embd.weight");
  const bool picked = name.ends_with(".attn_v.weight") || name.ends_with(".ffn_down.weight") ||
                      name.ends_with(".ffn_down_exps.weight");
  const bool more = picked && gets_more_bits(block_of(name), layers);
  return writable_type(head ? types.head : more ? types.more : types.matrices, tensor.shape.back());
}

}  // namespace graft
