#include "ops/norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::ScalarType sum_type(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight, double eps) {
    const auto wide = x.to(sum_type(x.scalar_type()));
    const auto rstd = at::rsqrt(wide.pow(2).mean(-1, true) + eps);
    ctx->save_for_backward({x, weight, rstd});
    return (wide * rstd).to(x.scalar_type()) * weight;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dys) {
    const auto saved = ctx->get_saved_variables();
    const auto type = sum_type(saved[0].scalar_type());
    const auto normed = saved[0].to(type) * saved[2];
    const auto g = dys[0].to(type) * saved[1].to(type);
    const auto dx = saved[2] * (g - normed * (g * normed).mean(-1, true));
    return {dx.to(saved[0].scalar_type()), {}, {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return RmsNormFunction::apply(x, weight, eps);
}

}  // namespace graft
