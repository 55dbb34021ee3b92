#include "kernels/encode.h"

#include <cassert>
#include <cstring>

#include "kernels/cpu/block_encode.h"

namespace graft {
namespace {

template <std::uint16_t (*round)(float)>
void encode_halves(std::span<const float> weights, std::byte* target) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::uint16_t half = round(weights[i]);
    std::memcpy(target + i * sizeof half, &half, sizeof half);
  }
}

void copy(std::span<const float> weights, std::byte* target) {
  if (!weights.empty()) std::memcpy(target, weights.data(), weights.size_bytes());
}

/// Null for types that are only read.
BlockEncode::Encode encoder_of(DType dtype) {
  const BlockEncode& table = block_encode();
  switch (dtype) {
    case DType::kF32:
      return copy;
    case DType::kF16:
      return encode_halves<f16_of_f32>;
    case DType::kBF16:
      return encode_halves<bf16_of_f32>;
    case DType::kQ4_0:
      return table.q4_0;
    case DType::kQ4_1:
      return table.q4_1;
    case DType::kQ5_0:
      return table.q5_0;
    case DType::kQ5_1:
      return table.q5_1;
    case DType::kQ8_0:
      return table.q8_0;
    case DType::kQ2_K:
      return table.q2_k;
    case DType::kQ3_K:
      return table.q3_k;
    case DType::kQ4_K:
      return table.q4_k;
    case DType::kQ5_K:
      return table.q5_k;
    case DType::kQ6_K:
      return table.q6_k;
    default:
      return nullptr;
  }
}

}  // namespace

bool can_encode(DType dtype) { return encoder_of(dtype) != nullptr; }

void encode_from_f32(DType dtype, std::span<const float> weights, std::byte* target) {
  assert(can_encode(dtype) && weights.size() % traits(dtype).values == 0);
  encoder_of(dtype)(weights, target);
}

void encode_q8_0(std::span<const float> weights, std::byte* blocks) {
  encode_from_f32(DType::kQ8_0, weights, blocks);
}

}  // namespace graft
