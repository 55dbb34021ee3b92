#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "ops/product.h"

namespace graft {

/// A frozen matrix W [out,in], however it is stored: dense or quantised now; gathered from other ranks,
/// later. Nothing outside asks how. It lives in ops, below model, because the operations multiply by it.
/// Products are raw (no autograd): the operations differentiate around them.
class FrozenWeight {
 public:
  virtual ~FrozenWeight() = default;
  virtual std::int64_t out_features() const = 0;
  virtual std::int64_t in_features() const = 0;
  /// W as run_products reads it: bf16, decoded block by block where it is quantised. Where suits() says so.
  virtual Matrix matrix() const = 0;
  /// Rows first … last-1 decoded -> [last-first,in] fp32: merge, norms, hashes.
  virtual at::Tensor rows(std::int64_t first, std::int64_t last) const = 0;
  /// ids int64 [T] -> the rows they name [T,in], in the compute type: embedding look-up.
  virtual at::Tensor look_up(const at::Tensor& ids) const = 0;

  /// x [T,in] -> x W^T [T,out], in x's type.
  at::Tensor times_transposed(const at::Tensor& x) const;
  /// The same product with its fp32 sums unrounded -> [T,out] fp32: logits that are looked at.
  at::Tensor times_transposed_f32(const at::Tensor& x) const;
  /// dy [T,out] -> dy W [T,in], in dy's type.
  at::Tensor times(const at::Tensor& dy) const;
  /// Whether products with `left` [T,…] are best taken tile by tile (run_products).
  bool suits(const at::Tensor& left) const;

 protected:
  /// W as a tensor of `dtype` [out,in]; a copy where it is stored otherwise.
  virtual at::Tensor dense(at::ScalarType dtype) const;
  /// Rows of a left operand from which panels are worth packing.
  virtual std::int64_t least_rows() const { return 1; }
  /// times_transposed_f32 of fewer rows than that.
  virtual at::Tensor few_times_transposed_f32(const at::Tensor& x) const;
};

using FrozenWeightPtr = std::shared_ptr<const FrozenWeight>;

/// W as a plain tensor [out,in] of the compute type; not copied (it may be memory-mapped).
FrozenWeightPtr dense_weight(at::Tensor weight);

}  // namespace graft
