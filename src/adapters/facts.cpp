#include "adapters/facts.h"

#include <algorithm>
#include <array>
#include <map>

#include "adapters/targets.h"
#include "ops/parallel.h"
#include "peft/adapter_config.h"
#include "peft/module_scale.h"
#include "peft/saved_init.h"

namespace graft {
namespace {

// Variants of LoRA that only PEFT computes.
constexpr std::array kVariants = {"use_qalora",  "use_bdlora",   "velora_config",  "monteclora_config",
                                  "kasa_config", "arrow_config", "megatron_config"};
// Where classes of models for text and images keep their text model.
constexpr std::array<std::string_view, 4> kWrappers = {"model.language_model", "language_model",
                                                       "model.text_model", "text_model"};

bool is_on(const JsonView& config, const char* key) {
  const auto value = config.find(key);
  if (!value || value->json() == Json(false)) return false;
  return !((value->is_array() || value->is_object()) && value->size() == 0);
}

struct Shapes {
  const TensorView *a = nullptr, *b = nullptr;
};

bool is_paired(const Shapes& shapes) {
  const auto is_matrix = [](const TensorView* tensor) {
    return tensor != nullptr && tensor->shape.size() == 2;
  };
  return is_matrix(shapes.a) && is_matrix(shapes.b) && shapes.a->shape[0] == shapes.b->shape[1];
}

void read_config(AdapterFacts& facts, const JsonView& config) {
  facts.peft_type = config.at("peft_type").as_string();
  if (const auto init = config.find("init_lora_weights"); init && init->is_string() && changes_base(config))
    facts.init = init->as_string();
  facts.start_is_lost = start_is_lost(config);
  for (const char* variant : kVariants)
    if (is_on(config, variant)) facts.variant = variant;
  if (is_on(config, "lora_bias")) facts.bias = "lora_bias";
  if (const auto bias = config.find("bias"); bias && bias->as_string() != "none")
    facts.bias = "bias: " + bias->as_string();
  facts.use_rslora = is_on(config, "use_rslora");
  facts.use_dora = is_on(config, "use_dora");
  facts.on_experts = is_on(config, "target_parameters");
  facts.replicates_layers = is_on(config, "layer_replication");
  facts.is_activated = is_on(config, "alora_invocation_tokens");
  if (const auto alpha = config.find("lora_alpha")) facts.alpha_is_zero = alpha->as_double() == 0.0;
  for (const char* key : {"r", "lora_alpha", "target_modules"})
    if (!config.json().contains(key)) facts.missing_keys.emplace_back(key);
}

void read_scales(AdapterFacts& facts, const JsonView& config, const std::map<std::string, Shapes>& pairs) {
  std::vector<std::string> modules;
  for (const auto& [module, shapes] : pairs) modules.push_back(module);
  const std::vector<ModuleScale> scales = scales_of(config, modules);
  const ModuleScale global = global_scale(config);
  std::size_t i = 0;
  for (const auto& [module, shapes] : pairs) {
    const ModuleScale& scale = scales[i];
    facts.rank = std::max(facts.rank, scale.rank);
    const auto alpha = [&](const ModuleScale& s) { return alpha_of(s, facts.use_rslora); };
    facts.scales_differ = facts.scales_differ || scale.scale != global.scale;
    facts.alphas_differ = facts.alphas_differ || alpha(scale) != alpha(global);
    ++i;
    // Of fused experts A has the rows of all of them.
    const bool fits = is_paired(shapes) && (facts.on_experts ? shapes.a->shape[0] % scale.rank == 0
                                                             : shapes.a->shape[0] == scale.rank);
    if (!fits) facts.unpaired.push_back(module);
  }
  facts.untargeted = untargeted_modules(config.json(), config.where(), modules);
}

void read_key(AdapterFacts& facts, const TensorView& tensor, const AdapterKey& key) {
  const std::string repaired = repaired_adapter_key(tensor.name);
  if (repaired == std::string(kAdapterKeyPrefix) + tensor.name)
    facts.unprefixed.push_back(tensor.name);
  else if (repaired != tensor.name)
    facts.odd_names.push_back(tensor.name);
  if (!holds_floats(tensor.dtype)) facts.not_floats.push_back(tensor.name);
  switch (key.part) {
    case AdapterPart::kMagnitude:
      facts.use_dora = true;
      break;
    case AdapterPart::kTokens:
      facts.trained_tokens.push_back(key.module);
      break;
    case AdapterPart::kBaseWeight:
      facts.base_weights.push_back(tensor.name);
      break;
    case AdapterPart::kBiasOfB:
      facts.bias = "lora_bias";
      break;
    case AdapterPart::kWhole:
      if (facts.peft_type == "LORA") facts.saved_whole.push_back(key.module);
      break;
    default:
      break;
  }
}

void read_module(AdapterFacts& facts, const std::string& module, bool of_embedding) {
  const std::string_view name = last_name(module);
  facts.on_embedding = facts.on_embedding || of_embedding || name == "embed_tokens";
  facts.on_head = facts.on_head || name == "lm_head";
  for (const std::string_view wrapper : kWrappers) {
    if (!module.starts_with(std::string(wrapper) + ".")) continue;
    facts.wrapped.push_back(module);
    facts.wrapper = wrapper;
  }
}

}  // namespace

AdapterFacts facts_of(const Json& config, const std::vector<TensorView>& tensors, const std::string& where) {
  AdapterFacts facts;
  const JsonView view(config, where);
  read_config(facts, view);
  std::map<std::string, Shapes> pairs;
  for (const TensorView& tensor : tensors) {
    const AdapterKey key = parse_adapter_key(tensor.name);
    read_key(facts, tensor, key);
    if (key.part != AdapterPart::kA && key.part != AdapterPart::kB) continue;
    Shapes& shapes = pairs[key.module];
    if (shapes.a == nullptr && shapes.b == nullptr) read_module(facts, key.module, key.of_embedding);
    (key.part == AdapterPart::kA ? shapes.a : shapes.b) = &tensor;
  }
  if (facts.peft_type == "LORA") read_scales(facts, view, pairs);
  return facts;
}

AdapterFacts facts_of(const AdapterFolder& adapter) {
  const std::vector<TensorView>& tensors = adapter.file->tensors();
  AdapterFacts facts = facts_of(adapter.config, tensors, adapter.view().where());
  std::vector<char> finite(tensors.size(), 1), zero(tensors.size(), 0);
  for_rows(std::ssize(tensors), std::int64_t{1} << 20, [&](std::int64_t first, std::int64_t last) {
    for (auto i = static_cast<std::size_t>(first); i < static_cast<std::size_t>(last); ++i) {
      if (!holds_floats(tensors[i].dtype)) continue;
      const ValueScan scan = scan_values(tensors[i]);
      finite[i] = scan.all_finite;
      zero[i] = scan.all_zero;
    }
  });
  facts.changes_nothing = !adapter.pairs.empty();
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (!finite[i]) facts.not_finite.push_back(tensors[i].name);
    if (parse_adapter_key(tensors[i].name).part == AdapterPart::kB && !zero[i]) facts.changes_nothing = false;
  }
  return facts;
}

AdapterFacts facts_of(const AdapterSet& adapters) {
  std::vector<TensorView> tensors;
  for (const Parameter& parameter : adapters.parameters)
    tensors.push_back(
        {std::string(kAdapterKeyPrefix) + parameter.name, DType::kF32, parameter.value.sizes().vec(), {}});
  const ExpertTargets experts =
      expert_targets(adapters.layout, adapters.options, written_rank_factor(adapters.options));
  AdapterFacts facts = facts_of(adapter_config_json(adapters.options, adapters.modules, "", experts), tensors,
                                kAdapterConfigName);
  facts.experts_apart = !experts.have_form;
  return facts;
}

}  // namespace graft
