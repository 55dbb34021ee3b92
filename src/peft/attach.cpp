#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "peft/adapter_file.h"
#include "peft/adapter_set.h"
#include "peft/selection.h"

namespace graft {
namespace {

AdapterSet attach_file(Decoder& model, AdapterFile file) {
  AdapterSet set{.options = std::move(file.options), .modules = std::move(file.modules), .parameters = {}};
  install_lora(model, set, [&](const Linear& linear) { return file.factors.at(linear.name); });
  return set;
}

/// The linears of the block's experts: a token passes few of them.
std::unordered_set<const Linear*> expert_linears(const Block& block) {
  std::unordered_set<const Linear*> linears;
  for (const Mlp& expert : block.experts.experts)
    for (const LinearGroup* group : {&expert.gate_up, &expert.down})
      for (const Linear& linear : group->linears) linears.insert(&linear);
  return linears;
}

// A key was said where the recipe wrote it, or where its value is not the default.
template <class Value>
bool said(const LoraOptions& options, const char* key, const Value& value, const Value& unsaid) {
  return value != unsaid || std::find(options.given.begin(), options.given.end(), key) != options.given.end();
}

template <class Value>
void check_same(const LoraOptions& options, const char* key, const Value& wanted, const Value& unsaid,
                const Value& file) {
  check(!said(options, key, wanted, unsaid) || wanted == file, ExitCode::kUsage, "lora.", key, ": got ",
        wanted, ", but the adapter to continue from has ", file,
        Hint{"leave the key out: it comes from " + options.from});
}

}  // namespace

std::int64_t AdapterSet::parameter_count() const {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters) count += parameter.value.numel();
  return count;
}

void check_continues(const Decoder& model, const LoraOptions& wanted, const LoraOptions& file) {
  const LoraOptions unsaid;
  check_same(wanted, "r", wanted.r, unsaid.r, file.r);
  check_same(wanted, "alpha", wanted.alpha, unsaid.alpha, file.alpha);
  check_same(wanted, "use_rslora", wanted.use_rslora, unsaid.use_rslora, file.use_rslora);
  const bool targets_said = said(wanted, "target_modules", wanted.target_modules, unsaid.target_modules) ||
                            said(wanted, "exclude_modules", wanted.exclude_modules, unsaid.exclude_modules);
  if (!targets_said) return;
  const bool same = select_modules(model, wanted, TargetSource::kRecipe, "lora.target_modules") ==
                    select_modules(model, file, TargetSource::kFile, "target_modules");
  check(same, ExitCode::kUsage, "lora.target_modules: other modules than the adapter to continue from has",
        Hint{"leave the key out: it comes from " + wanted.from});
}

FactorsByModule draw_factors(const Decoder& outline, const LoraOptions& options, std::uint64_t seed) {
  FactorsByModule factors;
  if (!options.from.empty()) return factors;
  const std::vector<std::string> modules =
      select_modules(outline, options, TargetSource::kRecipe, "lora.target_modules");
  const std::unordered_set<std::string> chosen(modules.begin(), modules.end());
  outline.each_group([&](const LinearGroup& group) {
    for (const Linear& linear : group.linears)
      if (chosen.contains(linear.name)) factors.emplace(linear.name, fresh_factors(linear, options, seed));
  });
  return factors;
}

AdapterSet attach_adapters(Decoder& model, const LoraOptions& options, std::uint64_t seed,
                           FactorsByModule drawn) {
  if (options.from.empty()) {
    if (drawn.empty()) drawn = draw_factors(model, options, seed);
    AdapterSet set{.options = options, .modules = {}, .parameters = {}};
    set.modules = select_modules(model, options, TargetSource::kRecipe, "lora.target_modules");
    install_lora(model, set, [&](const Linear& linear) { return std::move(drawn.at(linear.name)); });
    return set;
  }
  AdapterFile file = read_adapter(model, options.from, ZeroAdapter::kAccept, OtherBase::kRefuse);
  check_continues(model, options, file.options);
  file.options.dropout =
      options.dropout;  // how to train is the recipe's to say, what the adapter is the file's
  return attach_file(model, std::move(file));
}

AdapterOutline outline_adapters(const Decoder& model, const LoraOptions& options) {
  AdapterOutline outline{.options = options, .modules = {}};
  if (options.from.empty()) {
    outline.modules = select_modules(model, options, TargetSource::kRecipe, "lora.target_modules");
  } else {
    AdapterFile file = outline_adapter_file(model, options.from);
    check_continues(model, options, file.options);
    outline.options = std::move(file.options);
    outline.modules = std::move(file.modules);
  }
  outline.first_block = -1;
  const std::unordered_set<std::string> chosen(outline.modules.begin(), outline.modules.end());
  const ExpertsConfig& experts = model.config.experts;
  std::int64_t of_experts = 0, expert_ranks = 0;
  for (std::size_t index = 0; index < model.blocks.size(); ++index) {
    const auto sparse = expert_linears(model.blocks[index]);
    model.blocks[index].each_group([&](const LinearGroup& group) {
      for (const Linear& linear : group.linears) {
        if (!chosen.contains(linear.name)) continue;
        if (outline.first_block < 0) outline.first_block = static_cast<std::int64_t>(index);
        const std::int64_t count =
            outline.options.r * (linear.weight->in_features() + linear.weight->out_features());
        outline.parameters += count;
        (sparse.contains(&linear) ? of_experts : outline.active_parameters) += count;
        (sparse.contains(&linear) ? expert_ranks : outline.ranks) += outline.options.r;
      }
    });
  }
  if (experts.count == 0) return outline;
  outline.active_parameters += of_experts * experts.per_token / experts.count;
  outline.ranks += expert_ranks * experts.per_token / experts.count;
  return outline;
}

AdapterSet load_adapter(Decoder& model, const Path& folder, ZeroAdapter zero, OtherBase other) {
  return attach_file(model, read_adapter(model, folder, zero, other));
}

}  // namespace graft
