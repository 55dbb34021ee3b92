#include "peft/parameter_targets.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/console.h"
#include "base/error.h"
#include "base/text.h"
#include "peft/expert_stacks.h"
#include "peft/layout.h"
#include "peft/module_scale.h"
#include "peft/resolved_targets.h"
#include "peft/target_modules.h"

namespace graft {
namespace {

constexpr char kA[] = ".lora_A.weight", kB[] = ".lora_B.weight", kWeight[] = ".weight";

std::string shape_text(std::int64_t rows, std::int64_t columns) {
  return "[" + std::to_string(rows) + ", " + std::to_string(columns) + "]";
}

/// One call of split_parameters.
class Split {
 public:
  Split(const Decoder& model, const std::vector<std::string>& targets, const std::string& config,
        const std::string& where, NamedTensors& named, LoraOptions& options)
      : targets_(targets),
        config_(config),
        where_(where),
        named_(named),
        options_(options),
        parameters_(expert_parameters(model)),
        modules_(modules_of(model)),
        ranks_("rank_pattern", options.rank_pattern),
        alphas_("alpha_pattern", options.alpha_pattern),
        resolved_(std::ssize(model.blocks)) {
    for (const ModuleView& module : modules_) shapes_[module.path] = module.shape;
  }

  SplitTensors run() {
    rename_routers();
    take_modules();
    take_weights();
    for (std::size_t i = 0; i + 1 < parameters_.stacks.size(); i += 2)
      take_block(parameters_.stacks[i], parameters_.stacks[i + 1]);
    for (const std::string& target : targets_)
      if (!matched_.contains(target))
        warn(config_ + "/target_parameters: '" + printable(target) + "' matches no parameter of this base");
    resolved_.write(options_, named_.wrapper);
    return std::move(split_);
  }

 private:
  std::string file_path(const std::string& path) const {
    constexpr std::string_view kModel = "model.";
    return path.starts_with(kModel) ? named_.wrapper + path.substr(kModel.size()) : path;
  }

  bool is_target(const std::string& parameter) {
    const std::string path = file_path(parameter);
    bool any = false;
    for (const std::string& target : targets_) {
      if (!ends_with_name(path, target)) continue;
      matched_.insert(target);
      any = true;
    }
    return any;
  }

  ModuleScale scale_of(const std::string& parameter) const {
    const std::string path = file_path(parameter);
    const std::int64_t r = ranks_.value_of(path, options_.r);
    return {r, lora_scale(r, alphas_.value_of(path, options_.alpha), options_.use_rslora)};
  }

  // The router of Mixtral has another path in transformers 5.
  void rename_routers() {
    for (const auto& [here, there] : parameters_.routers) {
      if (here == there) continue;
      for (const char* factor : {kA, kB})
        if (auto node = named_.tensors.extract(there + factor)) {
          node.key() = here + factor;
          named_.tensors.insert(std::move(node));
        }
    }
  }

  void take_modules() {
    const ModuleMatcher matcher(options_);
    for (const ModuleView& module : modules_) {
      const std::string path = file_path(module.path);
      const bool can_match = module.kind != ModuleKind::kNorm &&
                             (!options_.target_modules.all_linear || module.kind == ModuleKind::kLinear);
      if (can_match && matcher.matches(path)) resolved_.add(module.path, scale_of(module.path));
    }
  }

  void take_weights() {
    for (const ModuleView& module : modules_) {
      if (module.kind == ModuleKind::kNorm) continue;
      const auto router = parameters_.routers.find(module.path);
      const std::string parameter =
          (router == parameters_.routers.end() ? module.path : router->second) + kWeight;
      if (is_target(parameter)) resolved_.add(module.path, scale_of(parameter));
    }
  }

  // PEFT wraps gate_up_proj first; where down_proj is adapted too, it lies inside of that wrapper.
  void take_block(const ExpertStack& gate_up, const ExpertStack& down) {
    const bool has_down = is_target(down.parameter), has_gate_up = is_target(gate_up.parameter);
    const std::string path = down.parameter.substr(0, down.parameter.rfind('.'));
    if (has_gate_up) take_stack(gate_up, has_down ? path + ".base_layer" : path);
    if (has_down) take_stack(down, path);
  }

  void take_stack(const ExpertStack& stack, const std::string& path) {
    const ModuleScale scale = scale_of(stack.parameter);
    const bool apart = named_.tensors.contains(stack.linears.front().front() + kA);
    if (apart)
      take_apart(stack, scale);
    else
      take_fused(stack, path, scale);
  }

  // Experts one by one, as PEFT reads them too: their ranks add up.
  void take_apart(const ExpertStack& stack, const ModuleScale& scale) {
    for (const auto& linears : stack.linears) {
      std::int64_t sum = 0;
      for (const std::string& linear : linears) {
        const TensorView& a = tensor(linear + kA);
        check(a.shape.size() == 2, place(a), ": got shape ", a.shape_text(), ", want a matrix");
        resolved_.add(linear, {a.shape[0], scale.scale});
        sum += a.shape[0];
      }
      check(sum == scale.rank, where_, ": ", linears.front(), kA, ": the ranks of this expert's part of ",
            stack.parameter, " add up to ", sum, ", want ", scale.rank, " as adapter_config.json says");
    }
  }

  void take_fused(const ExpertStack& stack, const std::string& path, const ModuleScale& scale) {
    const std::int64_t count = std::ssize(stack.linears), parts = std::ssize(stack.linears.front());
    const std::vector<std::int64_t>& shape = shapes_.at(stack.linears.front().front());
    const std::int64_t rows = shape[0], in = shape[1], rank = scale.rank;
    const TensorView &a = checked(path + kA, rank * count, in),
                     &b = checked(path + kB, rows * parts, rank * count);
    const std::vector<float> b_values = decode(b);
    // As PEFT puts gate and up side by side: twice the rank, each half of B's rows with its half of the
    // columns.
    const bool side_by_side =
        parts == 2 && rank == 2 * options_.r && is_block_diagonal(b_values, rows, rank, count);
    const std::int64_t r = side_by_side ? options_.r : rank;
    const std::size_t row_bytes = a.bytes.size() / static_cast<std::size_t>(rank * count);
    for (std::int64_t e = 0; e < count; ++e)
      for (std::int64_t part = 0; part < parts; ++part) {
        const std::string& linear =
            stack.linears[static_cast<std::size_t>(e)][static_cast<std::size_t>(part)];
        const std::int64_t first = side_by_side ? part * r : 0;
        TensorView own_a = a;
        own_a.shape = {r, in};
        own_a.bytes = a.bytes.subspan(static_cast<std::size_t>(e * rank + first) * row_bytes,
                                      static_cast<std::size_t>(r) * row_bytes);
        place_tensor(linear + kA, own_a);
        std::vector<float>& values = split_.values.emplace_back();
        for (std::int64_t o = part * rows; o < (part + 1) * rows; ++o)
          for (std::int64_t k = first; k < first + r; ++k)
            values.push_back(b_values[static_cast<std::size_t>((o * rank + k) * count + e)]);
        place_tensor(linear + kB, {b.name, DType::kF32, {rows, r}, std::as_bytes(std::span(values))});
        resolved_.add(linear, {r, scale.scale});
      }
    named_.tensors.erase(path + kA);
    named_.tensors.erase(path + kB);
  }

  static bool is_block_diagonal(const std::vector<float>& b, std::int64_t rows, std::int64_t rank,
                                std::int64_t count) {
    for (std::int64_t o = 0; o < 2 * rows; ++o) {
      const std::int64_t first = o < rows ? rank / 2 : 0;
      const auto from = b.begin() + (o * rank + first) * count;
      if (std::any_of(from, from + rank / 2 * count, [](float x) { return x != 0.0F; })) return false;
    }
    return true;
  }

  void place_tensor(const std::string& name, TensorView view) {
    split_.views.push_back(std::move(view));
    const bool fresh = named_.tensors.emplace(name, &split_.views.back()).second;
    check(fresh, where_, ": ", printable(name), ": is there for one expert and for all of them");
  }

  const TensorView& tensor(const std::string& name) const {
    const auto found = named_.tensors.find(name);
    check(found != named_.tensors.end(), where_, ": ", file_key(name),
          ": missing tensor, though adapter_config.json targets its parameter");
    return *found->second;
  }

  const TensorView& checked(const std::string& name, std::int64_t rows, std::int64_t columns) const {
    const TensorView& found = tensor(name);
    check(found.dtype == DType::kF32 || found.dtype == DType::kF16 || found.dtype == DType::kBF16,
          place(found), ": got type ", traits(found.dtype).name, ", want f32, f16 or bf16");
    check(found.shape == std::vector<std::int64_t>({rows, columns}), place(found), ": got shape ",
          found.shape_text(), ", want ", shape_text(rows, columns));
    return found;
  }

  std::string place(const TensorView& tensor) const { return where_ + ": " + printable(tensor.name); }

  const std::vector<std::string>& targets_;
  const std::string &config_, &where_;
  NamedTensors& named_;
  LoraOptions& options_;
  ExpertParameters parameters_;
  std::vector<ModuleView> modules_;
  std::map<std::string, std::vector<std::int64_t>> shapes_;
  PatternTable<std::int64_t> ranks_;
  PatternTable<double> alphas_;
  ResolvedTargets resolved_;
  std::set<std::string> matched_;
  SplitTensors split_;
};

}  // namespace

SplitTensors split_parameters(const Decoder& model, const std::vector<std::string>& targets,
                              const std::string& config, const std::string& where, NamedTensors& named,
                              LoraOptions& options) {
  return Split(model, targets, config, where, named, options).run();
}

}  // namespace graft
