#include "kernels/cpu/block_decode.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "kernels/k_blocks.h"

namespace graft {
namespace {

constexpr std::int64_t kChunk = 256;  // weights decoded at a time

using RoundedHalf = PlainHalf<Bf16Bits, bf16_of_f32>;

// What the vector tables must equal: decoded to fp32, then rounded.
template <class Decode>
void through_fp32(std::int64_t count, Bf16Bits* out, const Decode& decode) {
  std::array<float, kChunk> values;
  for (std::int64_t i = 0; i < count; i += kChunk) {
    const std::span<float> chunk(values.data(), static_cast<std::size_t>(std::min(kChunk, count - i)));
    decode(i, chunk);
    for (const float value : chunk) *out++ = bf16_of_f32(value);
  }
}

// Blocks of 32.
template <DType dtype>
void decode_run(const std::byte* blocks, std::int64_t first, std::int64_t count, Bf16Bits* out) {
  const DTypeTraits& type = traits(dtype);
  assert(type.values == kDecodeUnit);
  const auto bytes = [&](std::int64_t values) {
    return static_cast<std::size_t>(values) / type.values * type.bytes;
  };
  through_fp32(count, out, [&](std::int64_t i, std::span<float> chunk) {
    const auto size = static_cast<std::int64_t>(chunk.size());
    decode_to_f32(dtype, {blocks + bytes(first + i), bytes(size)}, chunk);
  });
}

void decode_nf4_run(const Nf4View& weights, std::int64_t first, std::int64_t count, Bf16Bits* out) {
  through_fp32(count, out,
               [&](std::int64_t i, std::span<float> chunk) { decode_nf4(weights, first + i, chunk); });
}

}  // namespace

const BlockDecode block_tables::kScalar = {.q4_0 = decode_run<DType::kQ4_0>,
                                           .q4_1 = decode_run<DType::kQ4_1>,
                                           .q5_0 = decode_run<DType::kQ5_0>,
                                           .q5_1 = decode_run<DType::kQ5_1>,
                                           .q8_0 = decode_run<DType::kQ8_0>,
                                           .q2_k = decode_k_blocks<Q2K, RoundedHalf>,
                                           .q3_k = decode_k_blocks<Q3K, RoundedHalf>,
                                           .q4_k = decode_k_blocks<Q4K, RoundedHalf>,
                                           .q5_k = decode_k_blocks<Q5K, RoundedHalf>,
                                           .q6_k = decode_k_blocks<Q6K, RoundedHalf>,
                                           .q8_k = decode_k_blocks<Q8K, RoundedHalf>,
                                           .iq4_nl = decode_run<DType::kIq4Nl>,
                                           .iq4_xs = decode_k_blocks<Iq4Xs, RoundedHalf>,
                                           .nf4 = decode_nf4_run};

DecodeRun BlockDecode::run(DType dtype) const {
  switch (dtype) {
    case DType::kQ4_0:
      return q4_0;
    case DType::kQ4_1:
      return q4_1;
    case DType::kQ5_0:
      return q5_0;
    case DType::kQ5_1:
      return q5_1;
    case DType::kQ8_0:
      return q8_0;
    case DType::kQ2_K:
      return q2_k;
    case DType::kQ3_K:
      return q3_k;
    case DType::kQ4_K:
      return q4_k;
    case DType::kQ5_K:
      return q5_k;
    case DType::kQ6_K:
      return q6_k;
    case DType::kQ8_K:
      return q8_k;
    case DType::kIq4Nl:
      return iq4_nl;
    case DType::kIq4Xs:
      return iq4_xs;
    default:
      return nullptr;
  }
}

const BlockDecode& block_decode(CpuPath path) {
#ifdef __x86_64__
  if (path >= CpuPath::kAvx512) return block_tables::kAvx512;
  if (path == CpuPath::kAvx2) return block_tables::kAvx2;
#endif
  assert(path == CpuPath::kScalar);
  return block_tables::kScalar;
}

const BlockDecode& block_decode() {
  static const BlockDecode& best = block_decode(cpu_paths().back());
  return best;
}

}  // namespace graft
