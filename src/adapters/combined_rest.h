#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "adapters/combine.h"
#include "store/tensor_view.h"

namespace graft {

/// A tensor of a combination that is no factor.
struct RestTensor {
  TensorView head;
  std::function<at::Tensor()> make;  ///< fp32, in the head's shape
};

/// What else the adapters hold, combined; `config` follows. `adapted`: the modules with factors in the
/// result.
///   weights, biases and tokens' rows that replace the base's: sum_i w_i t_i, exact where the weights of the
///     adapters that hold one sum to 1, for then the base's own does not count
///   biases of B: sum_i w_i s_i b_i, 0 where there is none
///   DoRA's magnitudes and copies of the base's own weights: as they are
/// Errors: weights that do not sum to 1, a module that is trained whole in one adapter and by factors in
/// another, biases of B beside an adapter of the embedding, settings of `bias` that differ.
std::vector<RestTensor> combined_rest(const std::vector<WeightedAdapter>& adapters,
                                      const std::set<std::string>& adapted, Json& config);

/// The weighted sums of IA3's vectors, 1 where an adapter has none. Error: another tensor than these.
std::vector<RestTensor> combined_vectors(const std::vector<WeightedAdapter>& adapters);

}  // namespace graft
