#include "model/rope.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

struct TypeName {
  std::string_view name;
  RopeType type;
};
constexpr std::array kTypes = {
    TypeName{"default", RopeType::kDefault}, TypeName{"linear", RopeType::kLinear},
    TypeName{"dynamic", RopeType::kDynamic}, TypeName{"yarn", RopeType::kYarn},
    TypeName{"llama3", RopeType::kLlama3},   TypeName{"longrope", RopeType::kLongrope}};

std::string known_types() {
  std::vector<std::string> names;
  for (const TypeName& type : kTypes) names.emplace_back(type.name);
  return join(names, ", ");
}

RopeType type_of(const JsonView& parameters, const RopeContext& context) {
  auto value = parameters.find("rope_type");
  if (!value) value = parameters.find("type");
  if (!value) return RopeType::kDefault;
  std::string name = value->as_string();
  if (context.only_longrope && (name == "su" || name == "yarn")) name = "longrope";
  const auto found =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeName& type) { return type.name == name; });
  check(found != kTypes.end(), value->where(), ": rotary scaling of this type is not supported (got ",
        printable(name), ", want one of ", known_types(), ")");
  return found->type;
}

double positive(const JsonView& value) {
  const double number = value.as_double();
  check(number > 0.0 && std::isfinite(number), value.where(), ": out of range (got ", number, ", want > 0)");
  return number;
}

double positive_or(const JsonView& parameters, std::string_view key, double otherwise) {
  const auto value = parameters.find(key);
  return value ? positive(*value) : otherwise;
}

std::vector<double> factors_of(const JsonView& list, std::int64_t count) {
  check(list.is_array() && static_cast<std::int64_t>(list.size()) == count, list.where(), ": want a list of ",
        count, " numbers");
  std::vector<double> factors;
  list.each_element([&](const JsonView& value) { factors.push_back(positive(value)); });
  return factors;
}

std::int64_t rotated_dims(double partial, const RopeContext& context, const std::string& where) {
  const auto dims = static_cast<std::int64_t>(static_cast<double>(context.head_dim) * partial);
  check(partial > 0.0 && partial <= 1.0 && dims >= 2 && dims % 2 == 0, where, "/partial_rotary_factor: of ",
        context.head_dim, " dims of a head it leaves no even number (got ", partial, ")");
  return dims;
}

/// How much cos and sin grow where the parameters do not say.
double yarn_mscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

double yarn_attention_factor(const JsonView& parameters, double factor) {
  const auto mscale = parameters.find("mscale"), all = parameters.find("mscale_all_dim");
  if (mscale && all && mscale->as_double() != 0.0 && all->as_double() != 0.0)
    return yarn_mscale(factor, mscale->as_double()) / yarn_mscale(factor, all->as_double());
  return yarn_mscale(factor, 1.0);
}

double longrope_attention_factor(double factor, std::int64_t original) {
  if (factor <= 1.0) return 1.0;
  return std::sqrt(1.0 + std::log(factor) / std::log(static_cast<double>(original)));
}

/// The context that the base was first trained on, and the factor from it to today's.
void read_stretch(const JsonView& parameters, const RopeContext& context, RopeConfig& rope) {
  const auto original = parameters.find("original_max_position_embeddings");
  rope.original_max_position_embeddings = context.original_max_position_embeddings > 0
                                              ? context.original_max_position_embeddings
                                          : original ? original->as_int(1, INT32_MAX)
                                                     : context.max_position_embeddings;
  const auto factor = parameters.find("factor");
  rope.factor = factor ? positive(*factor)
                       : static_cast<double>(context.max_position_embeddings) /
                             static_cast<double>(rope.original_max_position_embeddings);
}

void read_llama3(const JsonView& parameters, RopeConfig& rope) {
  rope.low_freq_factor = positive(parameters.at("low_freq_factor"));
  rope.high_freq_factor = positive(parameters.at("high_freq_factor"));
  check(rope.high_freq_factor > rope.low_freq_factor, parameters.at("high_freq_factor").where(),
        ": want more than low_freq_factor (got ", rope.high_freq_factor, " and ", rope.low_freq_factor, ")");
}

void read_yarn(const JsonView& parameters, RopeConfig& rope) {
  rope.beta_fast = positive_or(parameters, "beta_fast", rope.beta_fast);
  rope.beta_slow = positive_or(parameters, "beta_slow", rope.beta_slow);
  if (const auto truncate = parameters.find("truncate")) rope.truncate = truncate->as_bool();
  rope.attention_factor =
      positive_or(parameters, "attention_factor", yarn_attention_factor(parameters, rope.factor));
}

void read_longrope(const JsonView& parameters, RopeConfig& rope) {
  check(rope.original_max_position_embeddings > 1, parameters.where(),
        ": original_max_position_embeddings is out of range (got ", rope.original_max_position_embeddings,
        ")");
  rope.short_factor = factors_of(parameters.at("short_factor"), rope.dims / 2);
  rope.long_factor = factors_of(parameters.at("long_factor"), rope.dims / 2);
  rope.attention_factor =
      positive_or(parameters, "attention_factor",
                  longrope_attention_factor(rope.factor, rope.original_max_position_embeddings));
}

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

RopeConfig plain_rope(const RopeContext& context) {
  return {.rope_theta = context.rope_theta, .dims = rotated_dims(context.partial, context, "")};
}

RopeConfig parse_rope(const JsonView& parameters, const RopeContext& context) {
  check(parameters.is_object(), parameters.where(), ": want an object");
  const auto partial = parameters.find("partial_rotary_factor");
  const auto theta = parameters.find("rope_theta");
  RopeConfig rope{
      .type = type_of(parameters, context),
      .rope_theta = theta ? positive(*theta) : context.rope_theta,
      .dims = rotated_dims(partial ? partial->as_double() : context.partial, context, parameters.where())};
  if (rope.type == RopeType::kDefault) return rope;
  if (rope.type == RopeType::kLinear || rope.type == RopeType::kDynamic) {
    rope.factor = positive(parameters.at("factor"));
    rope.original_max_position_embeddings = context.max_position_embeddings;
    check(rope.type == RopeType::kLinear || (rope.factor >= 1.0 && rope.dims > 2), parameters.where(),
          ": dynamic scaling wants a factor of at least 1 and more than 2 rotated dims");
    return rope;
  }
  read_stretch(parameters, context, rope);
  if (rope.type == RopeType::kLlama3) read_llama3(parameters, rope);
  if (rope.type == RopeType::kYarn) read_yarn(parameters, rope);
  if (rope.type == RopeType::kLongrope) read_longrope(parameters, rope);
  return rope;
}

}  // namespace graft
