#include "peft/resolved_targets.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <string_view>

#include "base/text.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

constexpr std::string_view kLayers = "model.layers.", kExperts = ".experts.";

struct Place {
  std::string layer;  // "3", or nothing outside of blocks
  std::string rest;   // expression for what is behind it; of an expert it matches every expert
};

std::size_t digits_from(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
  return end;
}

Place place_of(const std::string& path) {
  if (!path.starts_with(kLayers)) return {"", escaped_expression(path)};
  const std::size_t end = digits_from(path, kLayers.size());
  const std::string rest = path.substr(end + 1);
  Place place{path.substr(kLayers.size(), end - kLayers.size()), ""};
  const std::size_t experts = rest.find(kExperts);
  if (experts == std::string::npos) {
    place.rest = escaped_expression(rest);
  } else {
    const std::size_t number = experts + kExperts.size();
    place.rest = escaped_expression(rest.substr(0, number)) + "\\d+" +
                 escaped_expression(rest.substr(digits_from(rest, number)));
  }
  return place;
}

template <class Value>
void put_in_front(ModulePattern<Value>& pattern, const ModulePattern<Value>& front) {
  pattern.insert(pattern.begin(), front.begin(), front.end());
}

}  // namespace

std::string escaped_expression(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

void ResolvedTargets::write(LoraOptions& options, const std::string& wrapper) const {
  const PatternTable<std::int64_t> ranks("rank_pattern", options.rank_pattern);
  const PatternTable<double> alphas("alpha_pattern", options.alpha_pattern);
  std::map<std::string, std::set<std::string>> layers_of;
  std::map<std::string, std::vector<std::pair<Place, ModuleScale>>> changed;
  for (const auto& [path, scale] : modules_) {
    const Place place = place_of(path);
    layers_of[place.rest].insert(place.layer);
    const std::string file_path = path.starts_with("model.") ? wrapper + path.substr(6) : path;
    const double alpha = alpha_of(scale, options.use_rslora);
    const bool same = ranks.value_of(file_path, options.r) == scale.rank &&
                      alphas.value_of(file_path, options.alpha) == alpha;
    if (!same) changed[place.rest].emplace_back(place, scale);
  }
  std::vector<std::string> terms;
  for (const auto& [rest, layers] : layers_of) {
    if (layers.contains("")) {
      terms.push_back(rest);
      continue;
    }
    const bool all = std::ssize(layers) == layers_;
    const std::vector<std::string> numbers(layers.begin(), layers.end());
    terms.push_back(".*layers\\." + (all ? "\\d+" : "(?:" + join(numbers, "|") + ")") + "\\." + rest);
  }
  ModulePattern<std::int64_t> own_ranks;
  ModulePattern<double> own_alphas;
  for (const auto& [rest, places] : changed) {
    const bool uniform = std::all_of(places.begin(), places.end(),
                                     [&](const auto& p) { return p.second == places[0].second; }) &&
                         std::all_of(modules_.begin(), modules_.end(), [&, r = rest](const auto& module) {
                           return place_of(module.first).rest != r || module.second == places[0].second;
                         });
    std::set<std::string> keys;
    for (const auto& [place, scale] : places) {
      const bool outside = place.layer.empty() || uniform;
      const std::string key = outside ? rest : "layers\\." + place.layer + "\\." + rest;
      if (!keys.insert(key).second) continue;
      own_ranks.emplace_back(key, scale.rank);
      own_alphas.emplace_back(key, alpha_of(scale, options.use_rslora));
    }
  }
  put_in_front(options.rank_pattern, own_ranks);
  put_in_front(options.alpha_pattern, own_alphas);
  options.target_modules = {.all_linear = false, .names = {}, .pattern = join(terms, "|")};
  options.exclude_modules = {.all_linear = false, .names = {}, .pattern = {}};
  options.layers_to_transform.clear();
  options.layers_pattern.clear();
}

}  // namespace graft
