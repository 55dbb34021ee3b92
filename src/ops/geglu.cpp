#include "ops/geglu.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cassert>

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr const char* kForm = "tanh";

struct GegluFunction : torch::autograd::Function<GegluFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up) {
    ctx->save_for_backward({gate, up});
    return at::gelu(gate, kForm).mul_(up);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dhs) {
    const auto saved = ctx->get_saved_variables();
    const auto &gate = saved[0], &up = saved[1], &dh = dhs[0];
    return {at::gelu_backward(dh * up, gate, kForm), at::gelu(gate, kForm).mul_(dh)};
  }
};

}  // namespace

at::Tensor geglu(const at::Tensor& gate, const at::Tensor& up) {
  assert(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type());
  return GegluFunction::apply(gate, up);
}

}  // namespace graft
