#include "ops/swiglu.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cassert>

#include "ops/kernel_types.h"
#include "ops/parallel.h"

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct SwigluFunction : torch::autograd::Function<SwigluFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up) {
    const auto h = at::empty_like(gate);
    with_kernel_type(gate.scalar_type(), [&](auto type) {
      using T = decltype(type);
      for_rows(gate.numel(), 1, [&](std::int64_t first, std::int64_t last) {
        row_kernels<T>().swiglu(read_from<T>(gate) + first, read_from<T>(up) + first, last - first,
                                write_to<T>(h) + first);
      });
    });
    ctx->save_for_backward({gate, up});
    return h;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dhs) {
    const auto saved = ctx->get_saved_variables();
    const auto &gate = saved[0], &up = saved[1];
    const auto dh = dhs[0].contiguous();
    const auto dgate = at::empty_like(gate), dup = at::empty_like(up);
    with_kernel_type(gate.scalar_type(), [&](auto type) {
      using T = decltype(type);
      for_rows(gate.numel(), 1, [&](std::int64_t first, std::int64_t last) {
        row_kernels<T>().swiglu_backward(read_from<T>(gate) + first, read_from<T>(up) + first,
                                         read_from<T>(dh) + first, last - first, write_to<T>(dgate) + first,
                                         write_to<T>(dup) + first);
      });
    });
    return {dgate, dup};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  assert(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type());
  return SwigluFunction::apply(gate.contiguous(), up.contiguous());
}

}  // namespace graft
