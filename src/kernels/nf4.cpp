#include "kernels/nf4.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "kernels/cpu/block_encode.h"

// Products and sums are rounded one by one, in bitsandbytes' order, which makes the results equal bit for
// bit.

namespace graft {
namespace {

// Means of neighbours of `count` + 1 points from 0.1 to 1, as torch.linspace computes them: from both ends,
// fused.
float dynamic_fraction(int k, int count) {
  const float step = 0.9F / static_cast<float>(count);
  const auto point = [&](int i) {
    return i < (count + 1) / 2 ? std::fma(step, static_cast<float>(i), 0.1F)
                               : std::fma(-step, static_cast<float>(count - i), 1.0F);
  };
  return (point(k) + point(k + 1)) / 2.0F;
}

std::array<float, 256> make_dynamic_map() {
  constexpr int kExponents = 7;
  std::array<float, 256> values{};
  std::size_t next = 0;
  values[next++] = 0.0F;
  values[next++] = 1.0F;
  for (int exponent = 0; exponent < kExponents; ++exponent) {
    const double power = std::pow(10.0, exponent - (kExponents - 1));
    const int fractions = 1 << exponent;
    for (int k = 0; k < fractions; ++k) {
      const float value = static_cast<float>(power) * dynamic_fraction(k, fractions);
      values[next++] = value;
      values[next++] = -value;
    }
  }
  assert(next == values.size());
  std::sort(values.begin(), values.end());
  return values;
}

// Halfway points between neighbouring values.
template <std::size_t size>
std::array<float, size - 1> bounds_of(const std::array<float, size>& values) {
  std::array<float, size - 1> bounds;
  for (std::size_t i = 0; i + 1 < size; ++i) bounds[i] = (values[i] + values[i + 1]) / 2.0F;
  return bounds;
}

constexpr std::int64_t kWidened = 4096;  // bf16 weights made fp32 at a time

// 8-bit codes of the 65,536 steps from -1 to 1 to which bitsandbytes rounds on a CPU first.
std::vector<std::uint8_t> make_dynamic_codes() {
  const auto bounds = bounds_of(dynamic_map());
  std::vector<std::uint8_t> codes(65536);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const float value = 2.0F * static_cast<float>(i) / 65535.0F - 1.0F;
    codes[i] =
        static_cast<std::uint8_t>(std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin());
  }
  return codes;
}

std::uint8_t dynamic_code(float scaled) {
  static const std::vector<std::uint8_t> codes = make_dynamic_codes();
  // A scale so small that its inverse is infinite makes NaN of 0, which becomes code 0.
  if (std::isnan(scaled)) return codes[0];
  const float place = std::fma((std::clamp(scaled, -1.0F, 1.0F) + 1.0F) * 0.5F, 65535.0F, 0.5F);
  return codes[static_cast<std::size_t>(place)];
}

}  // namespace

const std::array<float, 256>& dynamic_map() {
  static const std::array<float, 256> map = make_dynamic_map();
  return map;
}

void decode_nf4(const Nf4View& weights, std::int64_t first, std::span<float> target) {
  if (target.empty()) return;
  Nf4Scales scales(weights, first / weights.block);
  std::int64_t block_end = (first / weights.block + 1) * weights.block;
  float* out = target.data();
  for (const std::int64_t end = first + std::ssize(target); first < end; block_end += weights.block) {
    const float scale = scales.next();
    for (const std::int64_t last = std::min(end, block_end); first < last; ++first) {
      const auto pair = std::to_integer<unsigned>(weights.codes[first / 2]);
      *out++ = kNf4Values[first % 2 == 0 ? pair >> 4 : pair & 15U] * scale;
    }
  }
}

void encode_nf4(std::span<const float> weights, std::int64_t block, std::byte* codes, float* absmax) {
  block_encode().nf4(weights, block, codes, absmax);
}

void encode_nf4(std::span<const Bf16Bits> weights, std::int64_t block, std::byte* codes, float* absmax) {
  const std::int64_t blocks = std::max<std::int64_t>(1, kWidened / block);
  std::vector<float> values(static_cast<std::size_t>(blocks * block));
  for (std::size_t first = 0; first < weights.size(); first += values.size()) {
    const auto part = weights.subspan(first, std::min(values.size(), weights.size() - first));
    std::transform(part.begin(), part.end(), values.begin(), f32_of_bf16);
    encode_nf4(std::span(values).first(part.size()), block, codes, absmax);
    codes += (part.size() + 1) / 2;
    absmax += blocks;
  }
}

Nf4View Nf4Weights::view() const {
  return {.codes = codes.data(),
          .block = block,
          .absmax = nullptr,
          .absmax_codes = absmax_codes.data(),
          .absmax_map = dynamic_map().data(),
          .nested_absmax = nested_absmax.data(),
          .nested_block = kNf4NestedBlock,
          .offset = offset};
}

float mean_of_scales(std::span<const float> absmax) {
  double sum = 0;
  for (const float scale : absmax) sum += scale;
  return static_cast<float>(sum / static_cast<double>(absmax.size()));
}

void encode_scales(std::span<const float> absmax, float offset, std::uint8_t* codes, float* nested_absmax) {
  std::array<float, kNf4NestedBlock> centred;
  for (std::size_t first = 0; first < absmax.size(); first += centred.size()) {
    const auto part = absmax.subspan(first, std::min(centred.size(), absmax.size() - first));
    std::transform(part.begin(), part.end(), centred.begin(), [&](float scale) { return scale - offset; });
    float largest = 0;
    for (std::size_t i = 0; i < part.size(); ++i) largest = std::max(largest, std::abs(centred[i]));
    const float inverse = 1.0F / largest;
    *nested_absmax++ = largest;
    for (std::size_t i = 0; i < part.size(); ++i)
      *codes++ = largest == 0 ? 0 : dynamic_code(centred[i] * inverse);
  }
}

}  // namespace graft
