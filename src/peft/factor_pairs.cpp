#include "peft/factor_pairs.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "peft/config_keys.h"
#include "peft/module_scale.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

constexpr std::string_view kBaseLayer = ".base_layer", kExperts = ".experts.";

// A linear of one expert and the parameter of transformers 5 that holds it.
struct ExpertLinear {
  std::string_view name, parameter;
};
constexpr std::array kExpertLinears = {
    ExpertLinear{"gate_proj", "gate_up_proj"}, ExpertLinear{"up_proj", "gate_up_proj"},
    ExpertLinear{"down_proj", "down_proj"},    ExpertLinear{"w1", "gate_up_proj"},
    ExpertLinear{"w3", "gate_up_proj"},        ExpertLinear{"w2", "down_proj"}};
// The order in which transformers' classes register them: PEFT wraps the first one first.
constexpr std::array<std::string_view, 2> kRegistered = {"gate_up_proj", "down_proj"};

std::vector<std::string> target_parameters(const JsonView& config) {
  std::vector<std::string> targets;
  if (const auto list = config.find("target_parameters"))
    list->each_element([&](const JsonView& name) { targets.push_back(name.as_string()); });
  return targets;
}

// Mixtral's blocks have another name in transformers 5.
std::string renamed_block(std::string path) {
  constexpr std::string_view kOld = ".block_sparse_moe.", kNew = ".mlp.";
  if (const std::size_t at = path.find(kOld); at != std::string::npos) path.replace(at, kOld.size(), kNew);
  return path;
}

std::ptrdiff_t order_of(std::string_view name) {
  return std::find(kRegistered.begin(), kRegistered.end(), name) - kRegistered.begin();
}

std::string_view parent_of(std::string_view path) { return path.substr(0, path.rfind('.')); }

/// One call of factor_pairs.
class Pairing {
 public:
  Pairing(const JsonView& config, const std::string& file)
      : config_(config), file_(file), targets_(target_parameters(config)) {}

  std::vector<FactorPair> run(const std::vector<TensorView>& tensors) {
    for (const TensorView& tensor : tensors) place(tensor);
    std::map<std::string, std::vector<FactorPair*>> levels;  // of wrappers around one module
    for (auto& [holder, pair] : pairs_) levels[module_of(holder)].push_back(&pair);
    if (!targets_.empty())
      for (auto& [module, wrapped] : levels) resolve(module, wrapped);
    read_scales();
    std::vector<FactorPair> pairs;
    for (auto& [holder, pair] : pairs_) pairs.push_back(std::move(pair));
    std::sort(pairs.begin(), pairs.end(),
              [](const FactorPair& x, const FactorPair& y) { return path_before(x.module, y.module); });
    return pairs;
  }

 private:
  void place(const TensorView& tensor) {
    const AdapterKey key = parse_adapter_key(tensor.name);
    if (key.part != AdapterPart::kA && key.part != AdapterPart::kB) return;
    const std::string where = printable(file_) + ": " + printable(tensor.name);
    check(tensor.shape.size() == 2 && tensor.shape[0] > 0 && tensor.shape[1] > 0, where, ": got shape ",
          tensor.shape_text(), ", want a matrix");
    FactorPair& pair = pairs_[key.module];
    const TensorView*& place = key.part == AdapterPart::kA ? pair.a : pair.b;
    check(place == nullptr, where, ": the file also holds ", place != nullptr ? printable(place->name) : "");
    place = &tensor;
    pair.module = pair.holder = pair.scaled_by = key.module;
    pair.of_embedding = key.of_embedding;
  }

  static std::string module_of(std::string_view holder) {
    while (holder.ends_with(kBaseLayer)) holder.remove_suffix(kBaseLayer.size());
    return std::string(holder);
  }

  bool is_target(const std::string& parameter) const {
    return std::any_of(targets_.begin(), targets_.end(),
                       [&](const std::string& target) { return ends_with_name(parameter, target); });
  }

  // The parameters of a module that are targets, innermost wrapper first. A weight is a linear's own.
  std::vector<std::string> parameters_of(const std::string& module) const {
    std::vector<std::string> names;
    for (const std::string& target : targets_) {
      const std::string name(last_name(target));
      const bool is_new = std::find(names.begin(), names.end(), name) == names.end();
      if (name != "weight" && is_new && is_target(module + "." + name)) names.push_back(name);
    }
    std::sort(names.begin(), names.end(),
              [](const auto& x, const auto& y) { return order_of(x) < order_of(y); });
    return names;
  }

  void resolve(const std::string& module, std::vector<FactorPair*>& wrapped) {
    const bool one = wrapped.size() == 1 && wrapped.front()->holder == module;
    if (one && of_expert(*wrapped.front())) return;
    const std::string weight = renamed_block(module) + ".weight";
    if (one && is_target(weight)) {
      wrapped.front()->scaled_by = weight;
      return;
    }
    std::vector<std::string> names;
    if (!one || module.ends_with(".experts")) names = parameters_of(module);
    if (names.empty()) return;
    check(names.size() == wrapped.size(), printable(file_), ": ", printable(module), ": has adapters of ",
          wrapped.size(), " parameters, and target_parameters names ", names.size(), " (",
          printable(join(names, ", ")), ")");
    // Inner wrappers have longer paths.
    std::sort(wrapped.begin(), wrapped.end(),
              [](const FactorPair* x, const FactorPair* y) { return x->holder.size() > y->holder.size(); });
    for (std::size_t i = 0; i < names.size(); ++i)
      wrapped[i]->module = wrapped[i]->scaled_by = module + "." + names[i];
    for (FactorPair* pair : wrapped) fused_.insert(pair);
  }

  // Whether it is a linear of a single expert, part of a target.
  bool of_expert(FactorPair& pair) {
    const std::string path = renamed_block(pair.module);
    const std::size_t at = path.find(kExperts);
    if (at == std::string::npos) return false;
    const std::size_t number = at + kExperts.size(), dot = path.find('.', number);
    const bool numbered = dot != std::string::npos && dot > number &&
                          std::all_of(path.begin() + static_cast<std::ptrdiff_t>(number),
                                      path.begin() + static_cast<std::ptrdiff_t>(dot),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
    const std::string_view name = std::string_view(path).substr(numbered ? dot + 1 : 0);
    const auto* row = std::find_if(kExpertLinears.begin(), kExpertLinears.end(),
                                   [&](const ExpertLinear& linear) { return linear.name == name; });
    if (!numbered || row == kExpertLinears.end()) return false;
    const std::string parameter = path.substr(0, number).append(row->parameter);
    if (!is_target(parameter)) return false;
    pair.scaled_by = parameter;
    experts_[{parameter, path.substr(number, dot - number)}].push_back(&pair);
    return true;
  }

  void read_scales() {
    std::vector<std::string> paths;
    for (const auto& [holder, pair] : pairs_) paths.push_back(pair.scaled_by);
    if (!paths.empty()) refuse_null_scale(config_);
    const std::vector<ModuleScale> scales = scales_of(config_, paths);
    std::size_t i = 0;
    for (auto& [holder, pair] : pairs_) {
      pair.config_rank = scales[i].rank;
      pair.scale = scales[i++].scale;
      const std::int64_t rows = pair.rank();
      if (fused_.contains(&pair) && rows % pair.config_rank == 0) pair.experts = rows / pair.config_rank;
    }
    for (auto& [expert, linears] : experts_) {
      std::int64_t sum = 0;
      for (const FactorPair* pair : linears) sum += pair->rank();
      for (FactorPair* pair : linears) {
        pair->parts = std::ssize(linears);
        if (sum == pair->config_rank) pair->config_rank = pair->rank();
      }
    }
  }

  const JsonView& config_;
  const std::string& file_;
  std::vector<std::string> targets_;
  std::map<std::string, FactorPair> pairs_;  // by holder
  std::set<const FactorPair*> fused_;
  std::map<std::pair<std::string, std::string>, std::vector<FactorPair*>> experts_;
};

}  // namespace

std::string holder_of(const std::string& parameter, const std::vector<std::string>& parameters) {
  std::string holder(parent_of(parameter));
  const auto outside = std::count_if(parameters.begin(), parameters.end(), [&](const std::string& other) {
    return parent_of(other) == parent_of(parameter) &&
           order_of(last_name(other)) > order_of(last_name(parameter));
  });
  for (std::ptrdiff_t i = 0; i < outside; ++i) holder += kBaseLayer;
  return holder;
}

std::vector<FactorPair> factor_pairs(const JsonView& config, const std::vector<TensorView>& tensors,
                                     const std::string& file) {
  return Pairing(config, file).run(tensors);
}

}  // namespace graft
