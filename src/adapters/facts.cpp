#include "adapters/facts.h"

#include <algorithm>
#include <array>

#include "adapters/targets.h"
#include "ops/parallel.h"
#include "peft/adapter_config.h"
#include "peft/module_scale.h"
#include "peft/saved_init.h"

namespace graft {
namespace {

// Where classes of models for text and images keep their text model.
constexpr std::array<std::string_view, 4> kWrappers = {"model.language_model", "language_model",
                                                       "model.text_model", "text_model"};

bool is_on(const JsonView& config, const char* key) {
  const auto value = config.find(key);
  if (!value || value->json() == Json(false)) return false;
  return !((value->is_array() || value->is_object()) && value->size() == 0);
}

bool is_paired(const FactorPair& pair) {
  return pair.a != nullptr && pair.b != nullptr && pair.a->shape[0] == pair.b->shape[1];
}

void read_config(AdapterFacts& facts, const JsonView& config) {
  facts.peft_type = peft_type_of(config);
  if (const auto init = config.find("init_lora_weights"); init && init->is_string() && changes_base(config))
    facts.init = init->as_string();
  facts.start_is_lost = start_is_lost(config);
  for (const ConfigKey& key : config_keys())
    if (key.verdict == KeyVerdict::kRefused && is_on(config, key.key)) facts.variant = key.key;
  if (is_on(config, "lora_bias")) facts.bias = "lora_bias";
  if (const auto bias = config.find("bias"); bias && bias->as_string() != "none")
    facts.bias = "bias: " + bias->as_string();
  facts.use_rslora = is_on(config, "use_rslora");
  facts.use_dora = is_on(config, "use_dora");
  facts.on_experts = is_on(config, "target_parameters");
  facts.replicates_layers = is_on(config, "layer_replication");
  facts.is_activated = is_on(config, "alora_invocation_tokens");
  if (facts.replicates_layers || facts.is_activated) facts.variant.clear();  // rules of their own
  if (const auto alpha = config.find("lora_alpha")) facts.alpha_is_zero = alpha->as_double() == 0.0;
  for (const char* key : {"r", "lora_alpha", "target_modules"})
    if (!config.json().contains(key)) facts.missing_keys.emplace_back(key);
}

void read_scales(AdapterFacts& facts, const JsonView& config, const std::vector<FactorPair>& pairs) {
  const ModuleScale global = global_scale(config);
  std::vector<std::string> modules;
  for (const FactorPair& pair : pairs) {
    const auto alpha = [&](const ModuleScale& s) { return alpha_of(s, facts.use_rslora); };
    const std::int64_t rank = pair.config_rank;
    facts.rank = std::max(facts.rank, rank);
    facts.scales_differ = facts.scales_differ || pair.scale != global.scale;
    // A part of a parameter has a part of its rank, and of its alpha.
    facts.alphas_differ =
        facts.alphas_differ || (pair.parts == 1 && alpha({rank, pair.scale}) != alpha(global));
    if (!is_paired(pair) || pair.rank() != rank) facts.unpaired.push_back(pair.module);
    if (!pair.of_parameter()) modules.push_back(pair.module);
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
  for (const TensorView& tensor : tensors) read_key(facts, tensor, parse_adapter_key(tensor.name));
  const std::vector<FactorPair> pairs = factor_pairs(view, tensors, where);
  for (const FactorPair& pair : pairs) read_module(facts, pair.module, pair.of_embedding);
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
