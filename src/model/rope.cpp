#include "model/rope.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace graft {
namespace {

// dims/2 fp32 numbers 0, 2, 4 … over dims: the exponents of theta.
at::Tensor exponents(std::int64_t dims) { return at::arange(0, dims, 2, at::kFloat) / dims; }

at::Tensor powers(double theta, std::int64_t dims) { return at::pow(at::Scalar(theta), exponents(dims)); }

at::Tensor dynamic_angles(const RopeConfig& rope, std::int64_t length) {
  const auto limit = static_cast<double>(rope.original_max_position_embeddings);
  const double stretched = std::max(static_cast<double>(length), limit);
  const auto dims = static_cast<double>(rope.dims);
  const double growth = rope.factor * stretched / limit - (rope.factor - 1.0);
  return at::reciprocal(powers(rope.rope_theta * std::pow(growth, dims / (dims - 2.0)), rope.dims));
}

// The dim whose pair turns `rotations` times within the original context.
double correction_dim(const RopeConfig& rope, double rotations) {
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  return static_cast<double>(rope.dims) * std::log(original / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rope.rope_theta));
}

at::Tensor yarn_angles(const RopeConfig& rope) {
  double low = correction_dim(rope, rope.beta_fast), high = correction_dim(rope, rope.beta_slow);
  if (rope.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.dims - 1));
  if (low == high) high += 0.001;
  const at::Tensor ramp = at::clamp((at::arange(rope.dims / 2, at::kFloat) - low) / (high - low), 0, 1);
  const at::Tensor kept = 1 - ramp, theta = powers(rope.rope_theta, rope.dims);
  return at::reciprocal(theta * rope.factor) * (1 - kept) + at::reciprocal(theta) * kept;
}

at::Tensor llama3_angles(const RopeConfig& rope) {
  const at::Tensor plain = at::reciprocal(powers(rope.rope_theta, rope.dims));
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  const at::Tensor wavelength = at::reciprocal(plain) * (2.0 * std::numbers::pi);
  const at::Tensor is_long = wavelength > original / rope.low_freq_factor;
  const at::Tensor is_short = wavelength < original / rope.high_freq_factor;
  const at::Tensor scaled = at::where(is_long, plain / rope.factor, plain);
  const at::Tensor smooth = (at::reciprocal(wavelength) * original - rope.low_freq_factor) /
                            (rope.high_freq_factor - rope.low_freq_factor);
  const at::Tensor between = (1 - smooth) * scaled / rope.factor + smooth * scaled;
  return at::where(is_long.logical_not() & is_short.logical_not(), between, scaled);
}

at::Tensor longrope_angles(const RopeConfig& rope, std::int64_t length) {
  const auto& factors = length > rope.original_max_position_embeddings ? rope.long_factor : rope.short_factor;
  const at::Tensor stretch = at::tensor(factors, at::kDouble).to(at::kFloat);
  return at::reciprocal(stretch * powers(rope.rope_theta, rope.dims));
}

at::Tensor angles_of(const RopeConfig& rope, std::int64_t length) {
  switch (rope.type) {
    case RopeType::kDefault:
      break;
    case RopeType::kLinear:
      return at::reciprocal(powers(rope.rope_theta, rope.dims)) / rope.factor;
    case RopeType::kDynamic:
      return dynamic_angles(rope, length);
    case RopeType::kYarn:
      return yarn_angles(rope);
    case RopeType::kLlama3:
      return llama3_angles(rope);
    case RopeType::kLongrope:
      return longrope_angles(rope, length);
  }
  return at::reciprocal(powers(rope.rope_theta, rope.dims));
}

}  // namespace

bool RopeConfig::same_angles(std::int64_t length, std::int64_t other) const {
  const std::int64_t limit = original_max_position_embeddings;
  if (type == RopeType::kLongrope) return (length > limit) == (other > limit);
  return type != RopeType::kDynamic || std::max(length, limit) == std::max(other, limit);
}

std::vector<double> RopeConfig::frequencies(std::int64_t length) const {
  const at::Tensor angles = angles_of(*this, length).to(at::kDouble);
  const double* first = angles.const_data_ptr<double>();
  return {first, first + angles.numel()};
}

}  // namespace graft
