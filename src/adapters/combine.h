#pragma once

#include <string>
#include <vector>

#include "adapters/merged_factors.h"
#include "peft/adapter_folder.h"

namespace graft {

/// One adapter of a combination.
struct WeightedAdapter {
  AdapterFolder adapter;
  double weight = 1.0;  ///< may be negative: takes the adapter away
};

/// What came of it.
struct CombineReport {
  std::int64_t rank = 0, modules = 0;
  double distance = 0.0;  ///< of all B A of the result from sum_i w_i s_i B_i A_i, over that sum's norm
};

/// Writes the combination as one LoRA to the new folder `out`: rank as the method gives it, lora_alpha = r,
/// no patterns but for gate and up of fused experts, no rsLoRA (PEFT keeps the first adapter's use_rslora,
/// which scales the result by sqrt(r)). The other keys are the first adapter's; targets are the union, by
/// paths where layers or exclusions differ. A module that only some adapters have gets theirs alone; experts
/// that are one parameter are combined one by one and lie in PEFT's layout again; a head tied to the
/// embedding stays its copy. Tensors have the widest type of the inputs. What is no factor: combined_rest.
/// IA3: the weighted sum of the vectors, 1 where an adapter has none. Formulas: add_weighted_adapter of
/// huggingface/peft. Errors: check_factors; DoRA, which is not linear, but for one adapter of weight 1;
/// shapes or bases that differ; ranks that differ where the method adds factors; `out` exists (kUsage).
CombineReport combine_adapters(const std::vector<WeightedAdapter>& adapters, const CombineOptions& options,
                               const Path& out);

}  // namespace graft
