#include "model/rope.h"

#include <algorithm>
#include <array>
#include <cmath>

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

}  // namespace

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
