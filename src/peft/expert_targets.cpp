#include "peft/expert_targets.h"

#include <algorithm>
#include <map>
#include <set>

#include "peft/adapter_key.h"
#include "peft/module_scale.h"
#include "peft/resolved_targets.h"

namespace graft {
namespace {

/// A stack whose linears are all adapted alike from expert to expert, as one parameter.
struct FusedStack {
  std::string parameter;
  std::int64_t rank = 0;
  double scale = 0.0;
};

/// Whether a stack is adapted, and as one parameter can be.
enum class Fusion { kNone, kWhole, kApart };

class Writer {
 public:
  Writer(const AdapterLayout& layout, const LoraOptions& options, std::int64_t rank_factor)
      : layout_(layout), options_(options), factor_(rank_factor) {
    for (const AdaptedModule& module : layout.adapted) adapted_[module.path] = &module;
    for (const ExpertStack& stack : layout.experts.stacks)
      for (const auto& linears : stack.linears)
        for (const std::string& linear : linears) {
          in_stacks_.insert(linear);
          names_.emplace(last_name(linear));
        }
    for (const auto& [here, there] : layout.experts.routers) names_.emplace(last_name(here));
  }

  ExpertTargets run() {
    ExpertTargets targets;
    for (const auto& [path, module] : adapted_)
      targets.any = targets.any || in_stacks_.contains(path) || layout_.experts.routers.contains(path);
    if (!targets.any || options_.method != AdapterMethod::kLora) return targets;
    for (std::size_t i = 0; i + 1 < layout_.experts.stacks.size(); i += 2) {
      const Fusion gate_up = fuse(layout_.experts.stacks[i]), down = fuse(layout_.experts.stacks[i + 1]);
      const bool apart = gate_up == Fusion::kApart || down == Fusion::kApart;
      targets.have_form = targets.have_form && !apart && (gate_up == Fusion::kNone || down == Fusion::kWhole);
    }
    if (targets.have_form && !last_names_say_it()) targets.parameters = parameters();
    return targets;
  }

 private:
  Fusion fuse(const ExpertStack& stack) {
    std::size_t adapted = 0, linears = 0;
    bool alike = true;
    FusedStack fused{.parameter = stack.parameter};
    for (std::size_t e = 0; e < stack.linears.size(); ++e) {
      for (std::size_t part = 0; part < stack.linears[e].size(); ++part, ++linears) {
        const auto found = adapted_.find(stack.linears[e][part]),
                   first = adapted_.find(stack.linears[0][part]);
        if (found == adapted_.end() || first == adapted_.end()) continue;
        ++adapted;
        if (e == 0 && part == 0) fused.scale = found->second->scale;
        if (e == 0) fused.rank += found->second->r * factor_;
        alike = alike && found->second->r == first->second->r && found->second->scale == fused.scale;
      }
    }
    if (adapted == 0) return Fusion::kNone;
    if (adapted != linears || !alike) return Fusion::kApart;
    fused_.push_back(fused);
    return Fusion::kWhole;
  }

  bool is_plain(const AdaptedModule& module) const {
    return module.r == options_.r &&
           module.scale == lora_scale(options_.r, options_.alpha, options_.use_rslora);
  }

  bool last_names_say_it() const {
    const bool chosen_by_path =
        !options_.target_modules.pattern.empty() || !options_.layers_to_transform.empty() ||
        options_.exclude_modules.all_linear || !options_.exclude_modules.names.empty() ||
        !options_.exclude_modules.pattern.empty();
    if (chosen_by_path || options_.use_rslora) return false;
    std::size_t routers = 0;
    for (const auto& [path, module] : adapted_) {
      const bool router = layout_.experts.routers.contains(path), of_experts = in_stacks_.contains(path);
      routers += router ? 1 : 0;
      if ((router || of_experts) && !is_plain(*module)) return false;
      if (!router && !of_experts && names_.contains(last_name(path))) return false;
    }
    std::map<std::string_view, std::size_t> all, fused;
    for (const ExpertStack& stack : layout_.experts.stacks) ++all[last_name(stack.parameter)];
    for (const FusedStack& stack : fused_) ++fused[last_name(stack.parameter)];
    const bool in_all_blocks = std::all_of(fused.begin(), fused.end(),
                                           [&](const auto& one) { return one.second == all[one.first]; });
    return in_all_blocks && (routers == 0 || routers == layout_.experts.routers.size());
  }

  void say(ExpertTargets::Parameters& parameters, const std::string& expression, std::int64_t rank,
           double scale) const {
    parameters.ranks.emplace_back(expression, rank);
    parameters.alphas.emplace_back(expression, alpha_of({rank, scale}, options_.use_rslora));
  }

  // A key for all blocks where they are alike.
  void say_stacks(ExpertTargets::Parameters& parameters) const {
    std::set<std::string> said;
    for (const FusedStack& stack : fused_) {
      const std::string name(last_name(stack.parameter));
      const bool alike = std::all_of(fused_.begin(), fused_.end(), [&](const FusedStack& other) {
        return last_name(other.parameter) != name || (other.rank == stack.rank && other.scale == stack.scale);
      });
      const std::string key = escaped_expression(alike ? "mlp.experts." + name : stack.parameter);
      if (said.insert(key).second) say(parameters, key, stack.rank, stack.scale);
      parameters.target_parameters.push_back(stack.parameter);
    }
  }

  ExpertTargets::Parameters parameters() const {
    ExpertTargets::Parameters parameters;
    say_stacks(parameters);
    for (const AdaptedModule& module : layout_.adapted) {
      if (in_stacks_.contains(module.path)) continue;
      const auto router = layout_.experts.routers.find(module.path);
      const bool is_router = router != layout_.experts.routers.end();
      if (!is_router && !names_.contains(last_name(module.path))) {
        parameters.target_modules.push_back(module.path);
        continue;
      }
      const std::string parameter = (is_router ? router->second : module.path) + ".weight";
      parameters.target_parameters.push_back(parameter);
      if (!is_plain(module)) say(parameters, escaped_expression(parameter), module.r * factor_, module.scale);
    }
    std::sort(parameters.target_parameters.begin(), parameters.target_parameters.end(), path_before);
    return parameters;
  }

  const AdapterLayout& layout_;
  const LoraOptions& options_;
  std::int64_t factor_;
  std::map<std::string, const AdaptedModule*> adapted_;
  std::set<std::string> in_stacks_;
  std::set<std::string, std::less<>> names_;  // last names of experts' linears and routers
  std::vector<FusedStack> fused_;
};

}  // namespace

ExpertTargets expert_targets(const AdapterLayout& layout, const LoraOptions& options,
                             std::int64_t rank_factor) {
  return Writer(layout, options, rank_factor).run();
}

}  // namespace graft
