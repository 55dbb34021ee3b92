#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace graft {

/// Which of X experts reads which of T tokens, k experts a token: one row for each choice, the rows of an
/// expert together and in the order of their tokens.
struct ExpertRows {
  std::int64_t per_token = 0;        ///< k
  std::vector<std::int64_t> starts;  ///< [X+1] expert e reads rows starts[e] … starts[e+1]-1
  std::vector<std::int64_t> tokens;  ///< [T*k] token of each row
  std::vector<std::int64_t> rows;    ///< [T*k] row of choice s of token t at t*k+s

  std::int64_t count() const { return static_cast<std::int64_t>(tokens.size()); }
  std::vector<std::int64_t> sizes() const;  ///< [X] rows of each expert
};
using ExpertRowsPtr = std::shared_ptr<const ExpertRows>;

/// chosen int64 [T,k], each in [0, experts) and none twice for a token.
ExpertRowsPtr expert_rows(const at::Tensor& chosen, std::int64_t experts);

/// x [T,D] -> the token of every row [T*k,D]. Differentiable in x: a token's gradients are summed in the
/// order of its choices, so the sum depends on no thread.
at::Tensor gather_rows(const at::Tensor& x, const ExpertRowsPtr& rows);

/// ys [T*k,D], weights [T,k] of the same type -> sum over a token's choices of weight * row, + residual [T,D]
/// where it is defined; [T,D], rounded once. Differentiable in all three.
at::Tensor combine_rows(const at::Tensor& ys, const at::Tensor& weights, const at::Tensor& residual,
                        const ExpertRowsPtr& rows);

}  // namespace graft
