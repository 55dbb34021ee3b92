#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "adapters/task_merge.h"

namespace graft {

/// How adapters are combined.
struct CombineOptions {
  CombineMethod method;
  std::int64_t rank = 0;  ///< of the result, svd methods only; 0: the largest rank there is
  double density = 1.0;   ///< share of values kept by methods that prune
  MajoritySign majority = MajoritySign::kTotal;
  std::uint64_t seed = 0;
  bool any_base = false;  ///< take adapters of which the metadata says that their bases differ
};

/// One module's factors in one adapter, fp32.
struct FactorPart {
  at::Tensor a;         ///< [R,in]
  at::Tensor b;         ///< [out,R]
  double weight = 1.0;  ///< of the adapter
  double scale = 1.0;   ///< of the module in it
};

/// The factors of the combination, whose scale is 1.
struct MergedFactors {
  at::Tensor a;           ///< [rank,in] fp32
  at::Tensor b;           ///< [out,rank] fp32
  double distance = 0.0;  ///< Frobenius norm of B A - sum_i w_i s_i B_i A_i
  double norm = 0.0;      ///< of that sum
};

/// Combines one module's factors to rank `rank`; `key` tells modules apart in random pruning. Error
/// (kResource): a product that a method must build does not fit in memory.
MergedFactors merge_factors(const std::vector<FactorPart>& parts, const CombineOptions& options,
                            std::int64_t rank, std::uint64_t key);

}  // namespace graft
