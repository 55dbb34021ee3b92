#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

namespace graft {

/// A frozen matrix W [out,in], however it is stored: dense now; quantised, or gathered from other ranks,
/// later. Nothing outside asks how. It lives in ops, below model, because the operations multiply by it.
/// Products are raw (no autograd): the operations differentiate around them.
class FrozenWeight {
 public:
  virtual ~FrozenWeight() = default;
  virtual std::int64_t out_features() const = 0;
  virtual std::int64_t in_features() const = 0;
  /// x [T,in] -> x W^T [T,out], in x's type.
  virtual at::Tensor times_transposed(const at::Tensor& x) const = 0;
  /// The same product with its fp32 sums unrounded -> [T,out] fp32: logits that are looked at.
  virtual at::Tensor times_transposed_f32(const at::Tensor& x) const;
  /// dy [T,out] -> dy W [T,in], in dy's type.
  virtual at::Tensor times(const at::Tensor& dy) const = 0;
  /// dx [T,in] += dy W, with one rounding where the storage allows it.
  virtual void add_times(const at::Tensor& dy, at::Tensor& dx) const;
  /// Rows first … last-1 decoded -> [last-first,in] fp32: merge, norms, hashes.
  virtual at::Tensor rows(std::int64_t first, std::int64_t last) const = 0;
  /// ids int64 [T] -> the rows they name [T,in], in the compute type: embedding look-up.
  virtual at::Tensor look_up(const at::Tensor& ids) const = 0;
};

using FrozenWeightPtr = std::shared_ptr<const FrozenWeight>;

/// W as a plain tensor [out,in] of the compute type; not copied (it may be memory-mapped).
FrozenWeightPtr dense_weight(at::Tensor weight);

}  // namespace graft
