#include "peft/module_scale.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "peft/config_keys.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

constexpr double kLargestRank = 1 << 20;

PatternTable<double> pattern_in(const JsonView& config, const char* key) {
  ModulePattern<double> values;
  if (const auto pattern = config.find(key))
    pattern->each_member([&](const std::string& name, const JsonView& value) {
      values.emplace_back(name, unquoted(value).as_double());
    });
  return {key, values};
}

double number_or(const JsonView& config, const char* key, double otherwise) {
  const auto value = config.find(key);
  return value ? unquoted(*value).as_double() : otherwise;
}

std::int64_t checked_rank(const JsonView& config, double rank, const std::string& module) {
  check(rank >= 1 && rank <= kLargestRank && rank == std::floor(rank), config, ": r or rank_pattern: got ",
        rank, " for ", printable(module), ", want an integer from 1");
  return static_cast<std::int64_t>(rank);
}

bool is_rslora(const JsonView& config) {
  const auto value = config.find("use_rslora");
  return value && value->as_bool();
}

double divisor_of(std::int64_t rank, bool rslora) {
  const auto r = static_cast<double>(rank);
  return rslora ? std::sqrt(r) : r;
}

// The most frequent value; of several the first.
template <class Value>
Value usual(const std::vector<Value>& values) {
  std::map<Value, std::int64_t> count;
  for (const Value& value : values) ++count[value];
  return *std::max_element(values.begin(), values.end(),
                           [&](const Value& x, const Value& y) { return count.at(x) < count.at(y); });
}

// Whole paths: each key matches one module, so the order in which a loader reads them does not matter.
template <class Value>
Json exceptions(const std::vector<std::string>& modules, const std::vector<Value>& values,
                Value usual_value) {
  Json pattern = Json::object();
  for (std::size_t i = 0; i < modules.size(); ++i)
    if (values[i] != usual_value) pattern[modules[i]] = number_json(static_cast<double>(values[i]));
  return pattern;
}

}  // namespace

Json number_json(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<std::int64_t>(value);
  return value;
}

ModuleScale global_scale(const JsonView& config) {
  const std::int64_t rank = checked_rank(config, number_or(config, "r", kPeftRank), "all modules");
  return {rank, number_or(config, "lora_alpha", kPeftAlpha) / divisor_of(rank, is_rslora(config))};
}

double alpha_of(const ModuleScale& module, bool rslora) {
  constexpr double kRounding = 1e-12;
  const double alpha = module.scale * divisor_of(module.rank, rslora), whole = std::round(alpha);
  return std::abs(alpha - whole) <= kRounding * std::abs(alpha) ? whole : alpha;
}

std::vector<ModuleScale> scales_of(const JsonView& config, const std::vector<std::string>& modules) {
  const double r = number_or(config, "r", kPeftRank), alpha = number_or(config, "lora_alpha", kPeftAlpha);
  const bool rslora = is_rslora(config);
  const PatternTable<double> ranks = pattern_in(config, "rank_pattern"),
                             alphas = pattern_in(config, "alpha_pattern");
  std::vector<ModuleScale> scales;
  for (const std::string& module : modules) {
    const std::int64_t rank = checked_rank(config, ranks.value_of(module, r), module);
    scales.push_back({rank, alphas.value_of(module, alpha) / divisor_of(rank, rslora)});
  }
  return scales;
}

void set_scales(Json& config, const std::vector<std::string>& modules, const std::vector<ModuleScale>& scales,
                std::int64_t usual_rank) {
  const bool rslora = is_rslora({config, "adapter_config.json"});
  std::vector<std::int64_t> ranks;
  std::vector<double> alphas;
  for (const ModuleScale& module : scales) {
    ranks.push_back(module.rank);
    alphas.push_back(alpha_of(module, rslora));
  }
  const std::int64_t r = usual_rank > 0 ? usual_rank : usual(ranks);
  const double alpha = usual(alphas);
  config["r"] = r;
  config["lora_alpha"] = number_json(alpha);
  config["rank_pattern"] = exceptions(modules, ranks, r);
  config["alpha_pattern"] = exceptions(modules, alphas, alpha);
  // PEFT initialises before it loads: any other word may not fit the rank.
  config["init_lora_weights"] = true;
}

}  // namespace graft
