#include "model/config_layers.h"

#include <cmath>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr double kLocalTheta = 10000.0;  // Gemma3TextConfig's rope_local_base_freq
constexpr double kGlobalTheta = 1000000.0;
constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";

enum class WindowOf { kFull, kSliding };

std::int64_t int_or(const JsonView& json, std::string_view key, std::int64_t otherwise) {
  const auto value = json.find(key);
  return value ? value->as_int(1, INT32_MAX) : otherwise;
}

void check_one_per_layer(const JsonView& list, const ModelConfig& config) {
  check(list.is_array() && static_cast<std::int64_t>(list.size()) == config.num_hidden_layers, list.where(),
        ": want one per layer, ", config.num_hidden_layers);
}

/// For each block whether it rotates.
std::vector<bool> rotating(const JsonView& json, const Family& family, const ModelConfig& config) {
  std::vector<bool> rotates(static_cast<std::size_t>(config.num_hidden_layers), true);
  if (!family.honours("no_rope_layers")) return rotates;
  if (const auto list = json.find("no_rope_layers")) {
    check_one_per_layer(*list, config);
    // 1 stands for a block that rotates, whatever the key's name says.
    for (std::size_t i = 0; i < rotates.size(); ++i) rotates[i] = list->at(i).as_int(0, 1) != 0;
    return rotates;
  }
  const std::int64_t interval = int_or(json, "no_rope_layer_interval", 4);
  for (std::size_t i = 0; i < rotates.size(); ++i)
    rotates[i] = (static_cast<std::int64_t>(i) + 1) % interval != 0;
  return rotates;
}

/// The window of the blocks that have one, 0 where none has.
std::int64_t window_of(const JsonView& json, const Family& family) {
  if (!family.honours("sliding_window")) return 0;
  if (family.honours("use_sliding_window")) {
    const auto use = json.find("use_sliding_window");
    if (!use || !use->as_bool()) return 0;
  }
  // Absent means the class's default, null means none.
  return json.json().contains("sliding_window") ? int_or(json, "sliding_window", 0)
                                                : family.traits.sliding_window;
}

WindowOf parse_layer_type(const JsonView& type) {
  const std::string& name = type.as_string();
  check(name == kFull || name == kSliding, type.where(), ": layers of this type are not supported (got ",
        printable(name), ", want ", kFull, " or ", kSliding, ")");
  return name == kSliding ? WindowOf::kSliding : WindowOf::kFull;
}

bool slides(const JsonView& json, const Family& family, std::int64_t layer, bool rotates) {
  switch (family.traits.windowed) {
    case WindowedLayers::kNone:
      break;
    case WindowedLayers::kAll:
      return true;
    case WindowedLayers::kFromMaxWindowLayers:
      return layer >=
             (json.find("max_window_layers") ? json.at("max_window_layers").as_int(0, INT32_MAX) : 28);
    case WindowedLayers::kAllButEveryNth: {
      const bool patterned = family.honours("rope_local_base_freq");
      return (layer + 1) % (patterned ? int_or(json, "sliding_window_pattern", 6) : 2) != 0;
    }
    case WindowedLayers::kUnrotated:
      return !rotates;
  }
  return false;
}

/// Which blocks are of the sliding kind, whether or not there is a window.
std::vector<WindowOf> kinds_of(const JsonView& json, const Family& family, const ModelConfig& config,
                               const std::vector<bool>& rotates) {
  const auto count = static_cast<std::size_t>(config.num_hidden_layers);
  std::vector<WindowOf> kinds;
  const auto types = family.honours("layer_types") ? json.find("layer_types") : std::nullopt;
  if (types) {
    check_one_per_layer(*types, config);
    types->each_element([&](const JsonView& type) { kinds.push_back(parse_layer_type(type)); });
    return kinds;
  }
  for (std::size_t i = 0; i < count; ++i)
    kinds.push_back(slides(json, family, static_cast<std::int64_t>(i), rotates[i]) ? WindowOf::kSliding
                                                                                   : WindowOf::kFull);
  return kinds;
}

std::optional<JsonView> rope_parameters(const JsonView& json) {
  const auto scaling = json.find("rope_scaling");
  return scaling ? scaling : json.find("rope_parameters");
}

RopeContext context_of(const JsonView& json, const Family& family, const ModelConfig& config) {
  const bool phi = family.honours("partial_rotary_factor");
  // Phi3Config has a default of its own.
  const std::int64_t original = int_or(json, "original_max_position_embeddings", phi ? 4096 : 0);
  RopeContext context{.rope_theta = family.traits.rope_theta,
                      .head_dim = config.head_dim,
                      .max_position_embeddings = config.max_position_embeddings,
                      .original_max_position_embeddings = original,
                      .only_longrope = phi};
  if (const auto theta = json.find("rope_theta")) context.rope_theta = theta->as_double();
  if (const auto partial = json.find("partial_rotary_factor")) context.partial = partial->as_double();
  return context;
}

void check_rope(const RopeConfig& rope, const Family& family, const ModelConfig& config,
                const std::string& where) {
  check(rope.rope_theta > 0.0 && std::isfinite(rope.rope_theta), where, "/rope_theta: out of range (got ",
        rope.rope_theta, ", want > 0)");
  check(rope.dims == config.head_dim || family.honours("partial_rotary_factor"), where,
        "/partial_rotary_factor: partly rotated heads are not supported for ", family.architecture);
}

/// The ropes of a class that rotates all blocks alike.
std::vector<RopeConfig> one_rope(const JsonView& json, const RopeContext& context) {
  const auto parameters = rope_parameters(json);
  RopeConfig rope = parameters ? parse_rope(*parameters, context) : plain_rope(context);
  // Both spellings side by side: the scaling is in one, the base in the other.
  if (const auto other = json.find("rope_parameters"); parameters && other && other->is_object()) {
    const auto theta = other->find("rope_theta");
    if (theta && !parameters->find("rope_theta")) rope.rope_theta = theta->as_double();
  }
  return {rope};
}

/// {full, sliding} of Gemma 3: rope_scaling is of the full ones alone.
std::vector<RopeConfig> two_ropes(const JsonView& json, const RopeContext& context) {
  RopeContext full = context, sliding = context;
  full.rope_theta = json.find("rope_theta") ? context.rope_theta : kGlobalTheta;
  const auto local = json.find("rope_local_base_freq");
  sliding.rope_theta = local ? local->as_double() : kLocalTheta;
  const auto scaling = json.find("rope_scaling"), nested = json.find("rope_parameters");
  std::optional<JsonView> of_full = scaling, of_sliding;
  if (nested) {
    check(!nested->find("rope_type") && !nested->find("type"), nested->where(), ": want ", kFull, " and ",
          kSliding, " in it");
    if (!of_full) of_full = nested->find(kFull);
    of_sliding = nested->find(kSliding);
  }
  return {of_full ? parse_rope(*of_full, full) : plain_rope(full),
          of_sliding ? parse_rope(*of_sliding, sliding) : plain_rope(sliding)};
}

}  // namespace

void read_layers(const JsonView& json, const Family& family, ModelConfig& config) {
  const bool two = family.honours("rope_local_base_freq");
  const RopeContext context = context_of(json, family, config);
  config.ropes = two ? two_ropes(json, context) : one_rope(json, context);
  const auto parameters = rope_parameters(json);
  for (const RopeConfig& rope : config.ropes)
    check_rope(rope, family, config, parameters ? parameters->where() : json.where());
  const std::vector<bool> rotates = rotating(json, family, config);
  const std::vector<WindowOf> kinds = kinds_of(json, family, config, rotates);
  const std::int64_t window = window_of(json, family);
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const bool sliding = kinds[i] == WindowOf::kSliding;
    const std::int64_t rope = two && sliding ? 1 : 0;
    config.layers.push_back({.window = sliding ? window : 0, .rope = rotates[i] ? rope : -1});
  }
}

}  // namespace graft
