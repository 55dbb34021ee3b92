#include "ops/frozen_weight.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace graft {
namespace {

// Rows of W that exist as fp32 at a time: a few megabytes, which stay in cache.
constexpr std::int64_t kRowsAsF32 = 2048;

class DenseWeight final : public FrozenWeight {
 public:
  explicit DenseWeight(at::Tensor weight) : weight_(std::move(weight)) {
    assert(weight_.dim() == 2 && !weight_.requires_grad());
  }
  std::int64_t out_features() const override { return weight_.size(0); }
  std::int64_t in_features() const override { return weight_.size(1); }
  at::Tensor times_transposed(const at::Tensor& x) const override { return at::linear(x, weight_); }
  at::Tensor times_transposed_f32(const at::Tensor& x) const override {
    const at::Tensor input = x.to(at::kFloat);
    at::Tensor y = at::empty({x.size(0), out_features()}, input.options());
    for (std::int64_t first = 0; first < out_features(); first += kRowsAsF32) {
      const std::int64_t last = std::min(first + kRowsAsF32, out_features());
      y.slice(1, first, last).copy_(at::linear(input, rows(first, last)));
    }
    return y;
  }
  at::Tensor times(const at::Tensor& dy) const override { return at::mm(dy, weight_); }
  void add_times(const at::Tensor& dy, at::Tensor& dx) const override { dx.addmm_(dy, weight_); }
  at::Tensor rows(std::int64_t first, std::int64_t last) const override {
    return weight_.slice(0, first, last).to(at::kFloat);
  }
  at::Tensor look_up(const at::Tensor& ids) const override { return weight_.index_select(0, ids); }

 private:
  at::Tensor weight_;  // [out,in]
};

}  // namespace

at::Tensor FrozenWeight::times_transposed_f32(const at::Tensor& x) const {
  return times_transposed(x).to(at::kFloat);
}

void FrozenWeight::add_times(const at::Tensor& dy, at::Tensor& dx) const { dx.add_(times(dy)); }

FrozenWeightPtr dense_weight(at::Tensor weight) { return std::make_shared<DenseWeight>(std::move(weight)); }

}  // namespace graft
