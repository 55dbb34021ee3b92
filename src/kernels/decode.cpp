#include <array>
#include <cassert>
#include <cstring>

#include "kernels/dtype.h"
#include "kernels/k_blocks.h"

// Whole models pass through these loops at start-up, so their bodies are free of branches and calls: the
// compiler makes vector code of them (this file is compiled with -O3). Products and sums are rounded one by
// one, in the order of the gguf package's numpy code, which makes the results equal bit for bit;
// -ffp-contract=off keeps it so.

namespace graft {
namespace {

constexpr std::size_t kBlock = 32;  // values per block of the types that are decoded here
constexpr std::size_t kHalf = kBlock / 2;

template <class Number>
Number load(const std::byte* source) {
  Number value;
  std::memcpy(&value, source, sizeof value);
  return value;
}

// Plain types: one number after the other.
template <class Stored, float (*convert)(Stored)>
void decode_plain(const std::byte* source, std::size_t values, float* target) {
  for (std::size_t i = 0; i < values; ++i) target[i] = convert(load<Stored>(source + i * sizeof(Stored)));
}

float identity(float value) { return value; }
float narrow_double(double value) { return static_cast<float>(value); }

// Byte j of the 16 holds value j in its low half and value 16 + j in its high half.
void unpack_nibbles(const std::byte* source, std::array<std::int32_t, kBlock>& codes) {
  std::array<std::uint8_t, kHalf> packed;
  std::memcpy(packed.data(), source, kHalf);
  for (std::size_t j = 0; j < kHalf; ++j) codes[j] = packed[j] & 15;
  for (std::size_t j = 0; j < kHalf; ++j) codes[kHalf + j] = packed[j] >> 4;
}

// Bit j of `bits` is the fifth bit of value j.
void add_fifth_bits(std::uint32_t bits, std::array<std::int32_t, kBlock>& codes) {
  for (std::size_t j = 0; j < kBlock; ++j) {
    codes[j] |= static_cast<std::int32_t>(((bits & (std::uint32_t{1} << j)) != 0) ? 16U : 0U);
  }
}

// fp16 scale, 16 bytes of nibbles: d * (q - 8).
void decode_q4_0(const std::byte* source, float* target) {
  const float d = f32_of_f16(load<std::uint16_t>(source));
  std::array<std::int32_t, kBlock> codes;
  unpack_nibbles(source + 2, codes);
  for (std::size_t j = 0; j < kBlock; ++j) target[j] = d * static_cast<float>(codes[j] - 8);
}

// fp16 scale, fp16 minimum, 16 bytes of nibbles: d * q + m.
void decode_q4_1(const std::byte* source, float* target) {
  const float d = f32_of_f16(load<std::uint16_t>(source));
  const float m = f32_of_f16(load<std::uint16_t>(source + 2));
  std::array<std::int32_t, kBlock> codes;
  unpack_nibbles(source + 4, codes);
  for (std::size_t j = 0; j < kBlock; ++j) target[j] = d * static_cast<float>(codes[j]) + m;
}

// fp16 scale, 32 fifth bits, 16 bytes of nibbles: d * (q - 16).
void decode_q5_0(const std::byte* source, float* target) {
  const float d = f32_of_f16(load<std::uint16_t>(source));
  std::array<std::int32_t, kBlock> codes;
  unpack_nibbles(source + 6, codes);
  add_fifth_bits(load<std::uint32_t>(source + 2), codes);
  for (std::size_t j = 0; j < kBlock; ++j) target[j] = d * static_cast<float>(codes[j] - 16);
}

// fp16 scale, fp16 minimum, 32 fifth bits, 16 bytes of nibbles: d * q + m.
void decode_q5_1(const std::byte* source, float* target) {
  const float d = f32_of_f16(load<std::uint16_t>(source));
  const float m = f32_of_f16(load<std::uint16_t>(source + 2));
  std::array<std::int32_t, kBlock> codes;
  unpack_nibbles(source + 8, codes);
  add_fifth_bits(load<std::uint32_t>(source + 4), codes);
  for (std::size_t j = 0; j < kBlock; ++j) target[j] = d * static_cast<float>(codes[j]) + m;
}

// fp16 scale, 32 signed bytes: d * q.
void decode_q8_0(const std::byte* source, float* target) {
  const float d = f32_of_f16(load<std::uint16_t>(source));
  std::array<std::int8_t, kBlock> codes;
  std::memcpy(codes.data(), source + 2, kBlock);
  for (std::size_t j = 0; j < kBlock; ++j) target[j] = d * static_cast<float>(codes[j]);
}

// fp16 scale, 16 bytes of nibbles: d * the value that the code stands for.
void decode_iq4_nl(const std::byte* source, float* target) {
  const float d = f32_of_f16(load<std::uint16_t>(source));
  std::array<std::int32_t, kBlock> codes;
  unpack_nibbles(source + 2, codes);
  for (std::size_t j = 0; j < kBlock; ++j) target[j] = d * static_cast<float>(kIq4Values[codes[j]]);
}

template <class Format>
void decode_k(const std::byte* source, std::size_t values, float* target) {
  decode_k_blocks<Format, PlainHalf<float, identity>>(source, 0, static_cast<std::int64_t>(values), target);
}

template <void (*decode_block)(const std::byte*, float*)>
void decode_blocks(DType dtype, const std::byte* source, std::size_t values, float* target) {
  const std::size_t bytes = traits(dtype).bytes;
  for (std::size_t i = 0; i < values / kBlock; ++i) decode_block(source + i * bytes, target + i * kBlock);
}

}  // namespace

void decode_to_f32(DType dtype, std::span<const std::byte> source, std::span<float> target) {
  const std::size_t values = target.size();
  assert(values % traits(dtype).values == 0);
  assert(source.size() == values / traits(dtype).values * traits(dtype).bytes);
  const std::byte* from = source.data();
  float* to = target.data();
  switch (dtype) {
    case DType::kF64:
      return decode_plain<double, narrow_double>(from, values, to);
    case DType::kF32:
      return decode_plain<float, identity>(from, values, to);
    case DType::kF16:
      return decode_plain<std::uint16_t, f32_of_f16>(from, values, to);
    case DType::kBF16:
      return decode_plain<std::uint16_t, f32_of_bf16>(from, values, to);
    case DType::kQ4_0:
      return decode_blocks<decode_q4_0>(dtype, from, values, to);
    case DType::kQ4_1:
      return decode_blocks<decode_q4_1>(dtype, from, values, to);
    case DType::kQ5_0:
      return decode_blocks<decode_q5_0>(dtype, from, values, to);
    case DType::kQ5_1:
      return decode_blocks<decode_q5_1>(dtype, from, values, to);
    case DType::kQ8_0:
      return decode_blocks<decode_q8_0>(dtype, from, values, to);
    case DType::kQ2_K:
      return decode_k<Q2K>(from, values, to);
    case DType::kQ3_K:
      return decode_k<Q3K>(from, values, to);
    case DType::kQ4_K:
      return decode_k<Q4K>(from, values, to);
    case DType::kQ5_K:
      return decode_k<Q5K>(from, values, to);
    case DType::kQ6_K:
      return decode_k<Q6K>(from, values, to);
    case DType::kQ8_K:
      return decode_k<Q8K>(from, values, to);
    case DType::kIq4Nl:
      return decode_blocks<decode_iq4_nl>(dtype, from, values, to);
    case DType::kIq4Xs:
      return decode_k<Iq4Xs>(from, values, to);
    default:
      assert(false && "holds no floats");
  }
}

bool holds_floats(DType dtype) {
  switch (dtype) {
    case DType::kI64:
    case DType::kI32:
    case DType::kI16:
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return false;
    default:
      return true;
  }
}

}  // namespace graft
