#include "kernels/cpu/block_decode.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace graft {
namespace {

constexpr std::int64_t kChunk = 256;  // weights decoded at a time, a multiple of every GGUF block

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

template <DType dtype>
void decode_run(const std::byte* blocks, std::int64_t count, Bf16Bits* out) {
  const DTypeTraits& type = traits(dtype);
  const auto bytes = [&](std::size_t values) { return values / type.values * type.bytes; };
  through_fp32(count, out, [&](std::int64_t first, std::span<float> chunk) {
    decode_to_f32(dtype, {blocks + bytes(static_cast<std::size_t>(first)), bytes(chunk.size())}, chunk);
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
