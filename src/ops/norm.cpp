#include "ops/norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cassert>

#include "ops/kernel_types.h"
#include "ops/parallel.h"
#include "ops/work_scope.h"

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  // Keeps x, which the residual stream keeps anyway, and one number per row.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight, double eps) {
    const auto [y, rstd] = rms_norm_values(x, weight, eps);
    ctx->save_for_backward({x, weight, rstd});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dys) {
    const auto saved = ctx->get_saved_variables();
    return {rms_norm_gradient(saved[0], saved[1], saved[2], dys[0].contiguous()), {}, {}};
  }
};

bool is_wide(const at::Tensor& x, const at::Tensor& weight) {
  return x.scalar_type() != weight.scalar_type();
}

// In fp32 with one rounding at the end. A gradient's own are two sums a row, so libtorch's operations do.
RmsNormValues wide_values(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const auto wide = x.to(at::kFloat);
  const auto rstd = at::rsqrt(wide.square().mean(-1, /*keepdim=*/true) + eps);
  return {(wide * rstd * weight).to(x.scalar_type()), rstd.flatten()};
}

at::Tensor wide_gradient(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                         const at::Tensor& dy) {
  auto shape = x.sizes().vec();
  shape.back() = 1;
  const auto inverse = rstd.view(shape), normed = x * inverse, dnormed = dy * weight;
  return ((dnormed - normed * (dnormed * normed).mean(-1, /*keepdim=*/true)) * inverse).to(x.scalar_type());
}

}  // namespace

RmsNormValues rms_norm_values(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const WorkScope scope(Work::kNorm, {.bytes = 2.0 * static_cast<double>(x.nbytes())});
  if (is_wide(x, weight)) return wide_values(x, weight, eps);
  const auto width = x.size(-1), rows = x.numel() / width;
  const auto y = at::empty_like(x);
  const auto rstd = at::empty({rows}, x.options().dtype(sum_type(x.scalar_type())));
  with_kernel_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(rows, width, [&](std::int64_t first, std::int64_t last) {
      row_kernels<T>().rms_norm(read_from<T>(x) + first * width, read_from<T>(weight), eps, last - first,
                                width, write_to<T>(y) + first * width, write_to<SumOf<T>>(rstd) + first);
    });
  });
  return {y, rstd};
}

at::Tensor rms_norm_gradient(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                             const at::Tensor& dy) {
  const WorkScope scope(Work::kNorm, {.bytes = 3.0 * static_cast<double>(x.nbytes())});
  if (is_wide(x, weight)) return wide_gradient(x, weight, rstd, dy);
  const auto width = x.size(-1), rows = x.numel() / width;
  const auto dx = at::empty_like(x);
  with_kernel_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(rows, width, [&](std::int64_t first, std::int64_t last) {
      row_kernels<T>().rms_norm_backward(read_from<T>(x) + first * width, read_from<T>(weight),
                                         read_from<SumOf<T>>(rstd) + first, read_from<T>(dy) + first * width,
                                         last - first, width, write_to<T>(dx) + first * width);
    });
  });
  return dx;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  assert(weight.dim() == 1 && x.size(-1) == weight.size(0) &&
         (x.scalar_type() == weight.scalar_type() || weight.scalar_type() == at::kFloat));
  return RmsNormFunction::apply(x.contiguous(), weight.contiguous(), eps);
}

}  // namespace graft
