#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/half.h"

/// 4-bit NormalFloat with doubly quantised scales, bit-equal to bitsandbytes on a CPU. Source: QLoRA (2023),
/// section 3; bitsandbytes, quantize_4bit and quantize_blockwise. Blocks run over the flat tensor, across its
/// rows; the last may be short.
namespace graft {

inline constexpr std::int64_t kNf4Block = 64;  ///< weights per scale, unless a checkpoint says otherwise
inline constexpr std::int64_t kNf4NestedBlock = 256;  ///< scales per scale of scales

/// The values of the codes 0 … 15.
inline constexpr std::array<float, 16> kNf4Values = {-1.0F,
                                                     -0.6961928009986877F,
                                                     -0.5250730514526367F,
                                                     -0.39491748809814453F,
                                                     -0.28444138169288635F,
                                                     -0.18477343022823334F,
                                                     -0.09105003625154495F,
                                                     0.0F,
                                                     0.07958029955625534F,
                                                     0.16093020141124725F,
                                                     0.24611230194568634F,
                                                     0.33791524171829224F,
                                                     0.44070982933044434F,
                                                     0.5626170039176941F,
                                                     0.7229568362236023F,
                                                     1.0F};

/// bitsandbytes' signed dynamic 8-bit values, ascending: what scales are quantised to.
const std::array<float, 256>& dynamic_map();

/// A tensor in NF4; owns nothing. Weight i has its code in codes[i / 2], the even one in the high half, and
/// its scale in block i / block. The scales are `absmax`, or where that is null absmax_map[absmax_codes[b]] *
/// nested_absmax[b / nested_block] + offset.
struct Nf4View {
  const std::byte* codes = nullptr;
  std::int64_t block = kNf4Block;              ///< an even number
  const float* absmax = nullptr;               ///< [blocks] or null
  const std::uint8_t* absmax_codes = nullptr;  ///< [blocks]
  const float* absmax_map = nullptr;           ///< [256]
  const float* nested_absmax = nullptr;        ///< [blocks / nested_block, rounded up]
  std::int64_t nested_block = kNf4NestedBlock;
  float offset = 0;
};

/// The scales of a tensor one after the other, from block `block` on. Always inline: files compiled for
/// different instruction sets use it.
class Nf4Scales {
 public:
  [[gnu::always_inline]] Nf4Scales(const Nf4View& weights, std::int64_t block)
      : weights_(weights),
        block_(block),
        nested_(block / weights.nested_block),
        nested_end_((nested_ + 1) * weights.nested_block) {}
  [[gnu::always_inline]] float next() {
    if (weights_.absmax != nullptr) return weights_.absmax[block_++];
    if (block_ == nested_end_) {
      ++nested_;
      nested_end_ += weights_.nested_block;
    }
    return weights_.absmax_map[weights_.absmax_codes[block_++]] * weights_.nested_absmax[nested_] +
           weights_.offset;
  }

 private:
  const Nf4View& weights_;
  std::int64_t block_, nested_, nested_end_;
};

/// Decodes weights first … first + target.size() - 1 to fp32.
void decode_nf4(const Nf4View& weights, std::int64_t first, std::span<float> target);

/// Encodes weights from the start of a block: codes [(n + 1) / 2] (the odd half of a last byte is the code of
/// 0) and absmax [n / block, rounded up]. A large tensor can be encoded in pieces of whole blocks. The scale
/// of a block with a weight that is not finite is not finite either.
void encode_nf4(std::span<const float> weights, std::int64_t block, std::byte* codes, float* absmax);
void encode_nf4(std::span<const Bf16Bits> weights, std::int64_t block, std::byte* codes, float* absmax);

/// A tensor in NF4 with doubly quantised scales.
struct Nf4Weights {
  std::vector<std::byte> codes;
  std::int64_t block = kNf4Block;
  std::vector<std::uint8_t> absmax_codes;
  std::vector<float> nested_absmax;
  float offset = 0;

  /// Valid as long as this is neither moved nor changed.
  Nf4View view() const;
};

/// The mean of the scales, which double quantisation takes off them: summed in fp64, rounded once. (torch
/// sums in an order that depends on the machine's vectors and threads; where fp32 sums are exact both agree.)
float mean_of_scales(std::span<const float> absmax);
/// Quantises scales minus `offset` in blocks of kNf4NestedBlock to the dynamic map: codes [n], nested_absmax
/// [n / kNf4NestedBlock, rounded up].
void encode_scales(std::span<const float> absmax, float offset, std::uint8_t* codes, float* nested_absmax);

}  // namespace graft
