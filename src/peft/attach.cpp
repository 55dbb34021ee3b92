#include <algorithm>
#include <functional>
#include <numeric>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/console.h"
#include "base/error.h"
#include "peft/adapter_config.h"
#include "peft/adapter_file.h"
#include "peft/adapter_set.h"
#include "peft/install.h"
#include "peft/methods.h"

namespace graft {
namespace {

constexpr char kTargets[] = "lora.target_modules";

// The number of the block that a path lies in; below all of them for the embedding, above for norm and head.
std::int64_t block_of(const Decoder& model, const std::string& path) {
  constexpr std::string_view kLayers = "model.layers.";
  if (path == kEmbeddingPath) return 0;
  if (!path.starts_with(kLayers)) return std::ssize(model.blocks);
  return std::stoll(path.substr(kLayers.size()));
}

std::int64_t elements(const TensorSpec& spec) {
  return std::accumulate(spec.shape.begin(), spec.shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Frozen: what all modules share, what is the embedding's, and A where only B is trained.
bool is_trained(const TensorSpec& spec, const AdapterLayout& layout, const LoraOptions& options) {
  if (spec.name.find('.') == std::string::npos) return false;
  if (layout.tied_head && spec.name.starts_with("lm_head.")) return false;
  return !options.freeze_a || !spec.name.ends_with(".lora_A.weight");
}

// The linears of experts, of which a token passes few, and what is counted of them.
class ExpertShare {
 public:
  explicit ExpertShare(const Decoder& model) : config_(model.config.experts) {
    for (const Block& block : model.blocks)
      for (const Mlp& expert : block.experts.experts)
        for (const LinearGroup* group : {&expert.gate_up, &expert.down})
          for (const Linear& linear : group->linears) paths_.insert(linear.name);
  }
  // name: of a linear, or of a tensor that belongs to it
  void count(const std::string& name, std::int64_t amount) {
    (lies_in_expert(name) ? of_experts_ : of_all_) += amount;
  }
  // Of what was counted, what a token passes.
  std::int64_t active() const {
    return of_all_ + (of_experts_ == 0 ? 0 : of_experts_ * config_.per_token / config_.count);
  }

 private:
  bool lies_in_expert(std::string_view name) const {
    for (; !name.empty(); name = name.substr(0, name.rfind('.') == name.npos ? 0 : name.rfind('.')))
      if (paths_.contains(std::string(name))) return true;
    return false;
  }

  const ExpertsConfig& config_;
  std::unordered_set<std::string> paths_;
  std::int64_t of_all_ = 0, of_experts_ = 0;
};

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

// The same for values that are not printed.
void check_same_value(const LoraOptions& options, const char* key, bool same, bool not_default) {
  check(same || !said(options, key, not_default, false), ExitCode::kUsage, "lora.", key,
        ": another value than the adapter to continue from has",
        Hint{"leave the key out: it comes from " + options.from});
}

// Of experts PEFT takes what it can put together.
void warn_about_experts(const AdapterLayout& layout, const LoraOptions& options) {
  if (expert_targets(layout, options, written_rank_factor(options)).have_form) return;
  warn(
      "lora: PEFT on transformers 5 drops tensors of this adapter: it wants gate, up and down of all experts "
      "of a "
      "block, with one rank each and one scale of gate and up");
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
  check_same(wanted, "lora_bias", wanted.lora_bias, unsaid.lora_bias, file.lora_bias);
  check_same(wanted, "ensure_weight_tying", wanted.ensure_weight_tying, unsaid.ensure_weight_tying,
             file.ensure_weight_tying);
  check_same(wanted, "use_rslora", wanted.use_rslora, unsaid.use_rslora, file.use_rslora);
  check_same_value(wanted, "method", wanted.method == file.method, wanted.method != unsaid.method);
  check_same_value(wanted, "rank_pattern", wanted.rank_pattern == file.rank_pattern,
                   !wanted.rank_pattern.empty());
  check_same_value(wanted, "alpha_pattern", wanted.alpha_pattern == file.alpha_pattern,
                   !wanted.alpha_pattern.empty());
  check_same_value(wanted, "modules_to_save", wanted.modules_to_save == file.modules_to_save,
                   !wanted.modules_to_save.empty());
  check_same_value(wanted, "trainable_tokens", wanted.trainable_tokens == file.trainable_tokens,
                   !wanted.trainable_tokens.empty());
  check_same_value(wanted, "bias", wanted.bias == file.bias, wanted.bias != unsaid.bias);
  const bool targets_said =
      said(wanted, "target_modules", wanted.target_modules, unsaid.target_modules) ||
      said(wanted, "exclude_modules", wanted.exclude_modules, unsaid.exclude_modules) ||
      said(wanted, "layers_to_transform", wanted.layers_to_transform, unsaid.layers_to_transform);
  if (!targets_said) return;
  const bool same = lay_out(model, wanted, TargetSource::kRecipe, kTargets).adapted_paths() ==
                    lay_out(model, file, TargetSource::kFile, "target_modules").adapted_paths();
  check(same, ExitCode::kUsage, "lora.target_modules: other modules than the adapter to continue from has",
        Hint{"leave the key out: it comes from " + wanted.from});
}

AdapterTensors draw_tensors(const Decoder& outline, const LoraOptions& options, std::uint64_t seed) {
  AdapterTensors tensors;
  if (!options.from.empty()) return tensors;
  const AdapterLayout layout = lay_out(outline, options, TargetSource::kRecipe, kTargets);
  method_of(options).draw(layout, options, seed, tensors);
  return tensors;
}

AdapterSet attach_adapters(Decoder& model, const LoraOptions& options, std::uint64_t seed,
                           AdapterTensors drawn) {
  if (options.from.empty()) {
    if (drawn.empty()) drawn = draw_tensors(model, options, seed);
    const AdapterLayout layout = lay_out(model, options, TargetSource::kRecipe, kTargets);
    warn_about_experts(layout, options);
    derive_tensors(model, layout, options, seed, drawn);
    return install_adapters(model, layout, options, drawn);
  }
  AdapterFile file = read_adapter(model, options.from, ZeroAdapter::kAccept, OtherBase::kRefuse);
  check_continues(model, options, file.options);
  // How to train is the recipe's to say, what the adapter is the file's.
  file.options.dropout = options.dropout;
  file.options.freeze_a = options.freeze_a;
  warn_about_experts(file.layout, file.options);
  return install_adapters(model, file.layout, file.options, file.tensors);
}

AdapterOutline outline_adapters(const Decoder& model, const LoraOptions& options) {
  AdapterOutline outline{.options = options, .modules = {}};
  AdapterLayout layout;
  if (options.from.empty()) {
    layout = lay_out(model, options, TargetSource::kRecipe, kTargets);
  } else {
    AdapterFile file = outline_adapter_file(model, options.from);
    check_continues(model, options, file.options);
    outline.options = std::move(file.options);
    outline.options.freeze_a = options.freeze_a;
    layout = std::move(file.layout);
  }
  outline.modules = layout.adapted_paths();
  ExpertShare parameters(model), ranks(model);
  for (const TensorSpec& spec : tensors_of(layout, outline.options)) {
    if (!is_trained(spec, layout, outline.options)) continue;
    outline.parameters += elements(spec);
    parameters.count(spec.name, elements(spec));
  }
  outline.active_parameters = parameters.active();
  outline.first_block = std::ssize(model.blocks);
  const auto touch = [&](const std::string& path) {
    outline.first_block = std::min(outline.first_block, block_of(model, path));
  };
  for (const AdaptedModule& module : layout.adapted) {
    ranks.count(module.path, method_of(outline.options).kept(module, outline.options));
    touch(module.path);
  }
  outline.ranks = ranks.active();
  for (const ModuleView& module : layout.whole) touch(module.path);
  for (const ModuleView& module : layout.biases) touch(module.path);
  if (!layout.tokens.empty()) touch(kEmbeddingPath);
  return outline;
}

AdapterSet load_adapter(Decoder& model, const Path& folder, ZeroAdapter zero, OtherBase other) {
  const AdapterFile file = read_adapter(model, folder, zero, other);
  return install_adapters(model, file.layout, file.options, file.tensors);
}

}  // namespace graft
