#include "kernels/block_grid.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "kernels/encode.h"

namespace graft {
namespace {

constexpr std::size_t kMostValues = 256, kMostBytes = 256;
// Decoding rounds: a weight this near to a code, in steps, lies on it.
constexpr float kOnGrid = 1e-3F;
// Nearest codes keep nine tenths of a normally distributed change of so many steps, and err by less than
// chance.
constexpr float kLargeChange = 0.4F;

// Some bits of a byte of a block.
struct Field {
  std::size_t byte = 0;
  unsigned shift = 0, bits = 0;
};

// Where a block has the code of one weight: its low bits, and its high ones where they lie apart.
struct CodeFields {
  Field low, high{};
};

// Byte j of 16 holds weight j in its low half and weight 16 + j in its high half.
Field nibble(std::size_t first, std::size_t i) {
  return {first + i % 16, static_cast<unsigned>(i / 16 * 4), 4};
}

Field one_bit(std::size_t first, std::size_t i) { return {first + i / 8, static_cast<unsigned>(i % 8), 1}; }

// The layouts are those of decode.cpp and k_blocks.h; `group` has 32 weights, of which this is number j.
CodeFields fields_of(DType dtype, std::size_t i) {
  const std::size_t group = i / 32, j = i % 32;
  const auto pairs = static_cast<unsigned>(group % 4 * 2), halves = static_cast<unsigned>(group % 2 * 4);
  const auto single = static_cast<unsigned>(group);
  switch (dtype) {
    case DType::kQ4_0:
      return {nibble(2, i)};
    case DType::kQ4_1:
      return {nibble(4, i)};
    case DType::kQ5_0:
      return {nibble(6, i), one_bit(2, i)};
    case DType::kQ5_1:
      return {nibble(8, i), one_bit(4, i)};
    case DType::kQ8_0:
      return {{2 + i, 0, 8}};
    case DType::kQ2_K:
      return {{16 + group / 4 * 32 + j, pairs, 2}};
    case DType::kQ3_K:
      return {{32 + group / 4 * 32 + j, pairs, 2}, {j, single, 1}};
    case DType::kQ4_K:
      return {{16 + group / 2 * 32 + j, halves, 4}};
    case DType::kQ5_K:
      return {{48 + group / 2 * 32 + j, halves, 4}, {16 + j, single, 1}};
    case DType::kQ6_K:
      return {{group / 4 * 64 + group % 2 * 32 + j, static_cast<unsigned>(group % 4 / 2 * 4), 4},
              {128 + group / 4 * 32 + j, pairs, 2}};
    default:
      return {};
  }
}

void put(const Field& field, unsigned value, std::byte* block) {
  const unsigned mask = ((1U << field.bits) - 1) << field.shift;
  const unsigned old = std::to_integer<unsigned>(block[field.byte]) & ~mask;
  block[field.byte] = static_cast<std::byte>(old | ((value << field.shift) & mask));
}

// The codes of a block: which there are, and how one is written.
class BlockCodes {
 public:
  explicit BlockCodes(DType dtype) : type_(traits(dtype)) {
    for (std::size_t i = 0; i < type_.values; ++i) fields_[i] = fields_of(dtype, i);
    const unsigned bits = fields_[0].low.bits + fields_[0].high.bits;
    // Signed bytes; every other type's codes count from its lowest value.
    first_ = dtype == DType::kQ8_0 ? -127 : 0;
    last_ = dtype == DType::kQ8_0 ? 127 : (1 << bits) - 1;
  }

  int first() const { return first_; }
  int last() const { return last_; }
  std::size_t values() const { return type_.values; }
  std::size_t bytes() const { return type_.bytes; }

  void set(std::size_t i, int code, std::byte* block) const {
    const auto value = static_cast<unsigned>(code);
    put(fields_[i].low, value, block);
    if (fields_[i].high.bits > 0) put(fields_[i].high, value >> fields_[i].low.bits, block);
  }

  // What the weights of the block would be if all had this code.
  void decode_all(int code, const std::byte* block, float* out) const {
    std::array<std::byte, kMostBytes> other;
    std::memcpy(other.data(), block, type_.bytes);
    for (std::size_t i = 0; i < type_.values; ++i) set(i, code, other.data());
    decode(other.data(), out);
  }
  void decode(const std::byte* block, float* out) const {
    decode_to_f32(type_.dtype, {block, type_.bytes}, {out, type_.values});
  }

 private:
  const DTypeTraits& type_;
  std::array<CodeFields, kMostValues> fields_;
  int first_, last_;
};

// The block's weights, and what they would be with the first and the last code.
struct Grid {
  std::array<float, kMostValues> first, last, now;

  Grid(const BlockCodes& codes, const std::byte* block) {
    codes.decode_all(codes.first(), block, first.data());
    codes.decode_all(codes.last(), block, last.data());
    codes.decode(block, now.data());
  }
};

// Whether the weights can be put on the block's grid so: then they are.
bool round_block(const BlockCodes& codes, const float* weights, RandomStream& random, std::byte* block) {
  const auto& [first, last, now] = Grid(codes, block);
  const auto top = static_cast<float>(codes.last() - codes.first());
  float squares = 0;
  std::array<std::byte, kMostBytes> made;
  std::memcpy(made.data(), block, codes.bytes());
  for (std::size_t i = 0; i < codes.values(); ++i) {
    const float draw = static_cast<float>(random.uniform());
    const float step = (last[i] - first[i]) / top, place = (weights[i] - first[i]) / step;
    if (!(place > -1 && place < top + 1)) return false;  // also where the step is 0
    const float change = (weights[i] - now[i]) / step;
    squares += change * change;
    const float nearest = std::nearbyint(place);
    const float code = std::abs(place - nearest) < kOnGrid ? nearest : std::floor(place + draw);
    codes.set(i, codes.first() + static_cast<int>(std::clamp(code, 0.0F, top)), made.data());
  }
  if (squares > kLargeChange * kLargeChange * static_cast<float>(codes.values())) return false;
  std::memcpy(block, made.data(), codes.bytes());
  return true;
}

}  // namespace

bool has_grid(DType dtype) { return fields_of(dtype, 0).low.bits > 0; }

void round_on_grid(DType dtype, std::span<const float> weights, std::uint64_t key, std::byte* blocks) {
  assert(has_grid(dtype) && weights.size() % traits(dtype).values == 0);
  const BlockCodes codes(dtype);
  RandomStream random(key);
  for (std::size_t first = 0; first < weights.size(); first += codes.values(), blocks += codes.bytes())
    if (!round_block(codes, weights.data() + first, random, blocks))
      encode_from_f32(dtype, weights.subspan(first, codes.values()), blocks);
}

}  // namespace graft
