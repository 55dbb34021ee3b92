#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace graft {

/// What is taken out of each tensor before tensors are added.
enum class Pruning {
  kNone,
  kMagnitude,  ///< the smallest values become zero
  kRandom,     ///< random values become zero, the rest is divided by the density (DARE)
};

/// What tensors of several adapters are added on.
enum class MergeDomain {
  kStacked,  ///< factors beside each other: exact
  kFactors,  ///< A and B each for themselves: B_i A_j cross terms come in
  kProduct,  ///< B A, decomposed again by SVD
};

/// One way to combine adapters, under PEFT's name.
struct CombineMethod {
  std::string name;
  MergeDomain domain = MergeDomain::kFactors;
  Pruning pruning = Pruning::kNone;
  bool elects_sign = false;  ///< TIES: values whose sign is not the majority's do not count
};

/// The methods of PEFT's add_weighted_adapter.
const std::vector<CombineMethod>& combine_methods();
/// Error (kUsage), with a did-you-mean: no such method.
const CombineMethod& find_combine_method(const std::string& name);

/// How the majority's sign is told: of the sum of values, or of the sum of signs.
enum class MajoritySign { kTotal, kFrequency };

/// What a method needs to merge tensors.
struct TaskMerge {
  Pruning pruning = Pruning::kNone;
  bool elects_sign = false;
  double density = 1.0;  ///< (0, 1]: share of values that pruning keeps
  MajoritySign majority = MajoritySign::kTotal;
  std::uint64_t seed = 0;  ///< random pruning: a pure function of seed, tensor and place
};

/// sum_i weights[i] tasks[i] over tensors of one shape, pruned and sign-elected as `how` says. Sources: Yadav
/// et al., "TIES-Merging" (2023); Yu et al., "Language Models are Super Mario" (2023, DARE); merge_utils of
/// huggingface/peft.
at::Tensor merge_tasks(const std::vector<at::Tensor>& tasks, const std::vector<double>& weights,
                       const TaskMerge& how);

}  // namespace graft
