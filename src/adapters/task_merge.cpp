#include "adapters/task_merge.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cassert>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"

namespace graft {
namespace {

at::Tensor largest_values(const at::Tensor& task, double density) {
  const auto count = static_cast<std::int64_t>(density * static_cast<double>(task.numel()));
  const at::Tensor flat = task.reshape(-1);
  const at::Tensor places = std::get<1>(at::topk(flat.abs(), count));
  at::Tensor kept = at::zeros_like(flat);
  kept.index_copy_(0, places, flat.index_select(0, places));
  return kept.view(task.sizes());
}

at::Tensor random_values(const at::Tensor& task, double density, std::uint64_t key) {
  at::Tensor kept = task.clone(at::MemoryFormat::Contiguous);
  RandomStream random(key);
  float* values = kept.mutable_data_ptr<float>();
  const auto share = static_cast<float>(density);
  for (std::int64_t i = 0; i < kept.numel(); ++i)
    values[i] = random.uniform() < density ? values[i] / share : 0.0F;
  return kept;
}

at::Tensor pruned(const at::Tensor& task, const TaskMerge& how, std::uint64_t index) {
  if (how.pruning == Pruning::kNone || how.density >= 1.0) return task;
  if (how.pruning == Pruning::kMagnitude) return largest_values(task, how.density);
  return random_values(task, how.density, mix(how.seed, index));
}

// 1 where a task's value has the majority's sign; a sum of zero counts as positive.
at::Tensor majority_mask(const at::Tensor& tasks, MajoritySign majority) {
  const at::Tensor signs = tasks.sign();
  const at::Tensor votes = (majority == MajoritySign::kTotal ? tasks : signs).sum(0);
  return signs.eq(at::where(votes.ge(0), 1.0, -1.0));
}

}  // namespace

const std::vector<CombineMethod>& combine_methods() {
  using enum MergeDomain;
  static const std::vector<CombineMethod> table = {
      {"cat", kStacked},
      {"svd", kProduct},
      {"linear", kFactors},
      {"ties", kFactors, Pruning::kMagnitude, true},
      {"ties_svd", kProduct, Pruning::kMagnitude, true},
      {"dare_linear", kFactors, Pruning::kRandom},
      {"dare_linear_svd", kProduct, Pruning::kRandom},
      {"dare_ties", kFactors, Pruning::kRandom, true},
      {"dare_ties_svd", kProduct, Pruning::kRandom, true},
      {"magnitude_prune", kFactors, Pruning::kMagnitude},
      {"magnitude_prune_svd", kProduct, Pruning::kMagnitude},
  };
  return table;
}

const CombineMethod& find_combine_method(const std::string& name) {
  std::vector<std::string> names;
  for (const CombineMethod& method : combine_methods()) {
    if (method.name == name) return method;
    names.push_back(method.name);
  }
  const auto near = nearest(name, names);
  fail(ExitCode::kUsage, "--method: got ", printable(name), ", want one of ", join(names, ", "),
       Hint{near ? "did you mean " + *near + "?" : ""});
}

at::Tensor merge_tasks(const std::vector<at::Tensor>& tasks, const std::vector<double>& weights,
                       const TaskMerge& how) {
  assert(tasks.size() == weights.size());
  std::vector<at::Tensor> parts;
  for (std::size_t i = 0; i < tasks.size(); ++i) parts.push_back(pruned(tasks[i], how, i));
  if (!how.elects_sign) {
    at::Tensor sum = parts[0] * weights[0];
    for (std::size_t i = 1; i < parts.size(); ++i) sum += parts[i] * weights[i];
    return sum;
  }
  const at::Tensor stacked = at::stack(parts);  // [tasks,rows,columns]
  const at::Tensor mask = majority_mask(stacked, how.majority);
  for (std::size_t i = 0; i < parts.size(); ++i) parts[i] = parts[i] * weights[i];
  return (at::stack(parts) * mask).sum(0) / mask.sum(0).clamp_min(1);
}

}  // namespace graft
