#include "ops/recompute.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/held.h"
#include "ops/work_scope.h"

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Body = std::function<at::Tensor(const at::Tensor&)>;

struct Recompute : torch::autograd::Function<Recompute> {
  // anchor requires grad: without it nothing would be differentiated where only parameters inside f require
  // grad.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& /*anchor*/,
                            const Body& f) {
    ctx->saved_data["f"] = hold(f);
    ctx->save_for_backward({x});
    return f(x);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dys) {
    const auto saved = ctx->get_saved_variables()[0];
    const at::AutoGradMode differentiate(true);
    const auto x = saved.detach().set_requires_grad(saved.requires_grad());
    const auto y = held<Body>(ctx->saved_data["f"])(x);
    const WorkScope scope(kBackwardPass);
    if (y.requires_grad()) torch::autograd::backward({y}, {dys[0]});
    return {x.grad(), {}, {}};
  }
};

}  // namespace

at::Tensor recompute(const std::function<at::Tensor(const at::Tensor&)>& f, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return f(x);
  const auto anchor = at::empty({0}).set_requires_grad(true);
  return Recompute::apply(x, anchor, f);
}

}  // namespace graft
