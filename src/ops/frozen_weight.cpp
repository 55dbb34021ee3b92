#include "ops/frozen_weight.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace graft {
namespace {

// Rows of W that exist as fp32 at a time: a few megabytes, which stay in cache.
constexpr std::int64_t kRowsAsF32 = 2048;

at::Tensor one_product(const at::Tensor& left, Matrix right, Side side, at::ScalarType dtype) {
  const auto columns = side == Side::kAsStored ? right.columns : right.rows;
  auto y = at::empty({left.size(0), columns}, left.options().dtype(dtype));
  run_products({{.rows = left.size(0),
                 .columns = columns,
                 .parts = {{{left, std::move(right), side}}},
                 .finish = dtype == at::kFloat ? copy_to(y) : round_to(y)}});
  return y;
}

class DenseWeight final : public FrozenWeight {
 public:
  explicit DenseWeight(at::Tensor weight) : weight_(std::move(weight)) {
    assert(weight_.dim() == 2 && !weight_.requires_grad());
  }
  std::int64_t out_features() const override { return weight_.size(0); }
  std::int64_t in_features() const override { return weight_.size(1); }
  Matrix matrix() const override { return matrix_of(weight_); }
  at::Tensor rows(std::int64_t first, std::int64_t last) const override {
    return weight_.slice(0, first, last).to(at::kFloat);
  }
  at::Tensor look_up(const at::Tensor& ids) const override { return weight_.index_select(0, ids); }

 protected:
  at::Tensor dense(at::ScalarType dtype) const override { return weight_.to(dtype); }
  // A few rows read W once, as it lies; packing it would read it twice.
  std::int64_t least_rows() const override { return 32; }
  // So W is the left operand here, and what comes out is the transpose.
  at::Tensor few_times_transposed_f32(const at::Tensor& x) const override {
    if (!suits_products(x, out_features(), in_features())) return FrozenWeight::few_times_transposed_f32(x);
    at::Tensor y = at::empty({x.size(0), out_features()}, x.options().dtype(at::kFloat));
    run_products({{.rows = out_features(),
                   .columns = x.size(0),
                   .parts = {{{weight_, matrix_of(x.contiguous()), Side::kTransposed}}},
                   .finish = copy_transposed_to(y, 1.0F)}});
    return y;
  }

 private:
  at::Tensor weight_;  // [out,in]
};

}  // namespace

bool FrozenWeight::suits(const at::Tensor& left) const {
  return left.size(0) >= least_rows() && suits_products(left, out_features(), in_features());
}

at::Tensor FrozenWeight::times_transposed(const at::Tensor& x) const {
  if (suits(x)) return one_product(x.contiguous(), matrix(), Side::kTransposed, x.scalar_type());
  return at::linear(x, dense(x.scalar_type()));
}

at::Tensor FrozenWeight::times_transposed_f32(const at::Tensor& x) const {
  if (suits(x)) return one_product(x.contiguous(), matrix(), Side::kTransposed, at::kFloat);
  return few_times_transposed_f32(x);
}

at::Tensor FrozenWeight::few_times_transposed_f32(const at::Tensor& x) const {
  const at::Tensor input = x.to(at::kFloat);
  at::Tensor y = at::empty({x.size(0), out_features()}, input.options());
  for (std::int64_t first = 0; first < out_features(); first += kRowsAsF32) {
    const std::int64_t last = std::min(first + kRowsAsF32, out_features());
    y.slice(1, first, last).copy_(at::linear(input, rows(first, last)));
  }
  return y;
}

at::Tensor FrozenWeight::times(const at::Tensor& dy) const {
  if (suits(dy)) return one_product(dy.contiguous(), matrix(), Side::kAsStored, dy.scalar_type());
  return at::mm(dy, dense(dy.scalar_type()));
}

at::Tensor FrozenWeight::dense(at::ScalarType dtype) const { return rows(0, out_features()).to(dtype); }

FrozenWeightPtr dense_weight(at::Tensor weight) { return std::make_shared<DenseWeight>(std::move(weight)); }

}  // namespace graft
