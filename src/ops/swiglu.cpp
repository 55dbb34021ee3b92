#include "ops/swiglu.h"

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

struct SwigluFunction : torch::autograd::Function<SwigluFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate, const at::Tensor& up) {
    ctx->save_for_backward({gate, up});
    return swiglu_values(gate, up);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dhs) {
    const auto saved = ctx->get_saved_variables();
    const auto [dgate, dup] = swiglu_gradients(saved[0], saved[1], dhs[0].contiguous());
    return {dgate, dup};
  }
};

}  // namespace

at::Tensor swiglu_values(const at::Tensor& gate, const at::Tensor& up) {
  const WorkScope scope(Work::kSwiglu, {.bytes = 3.0 * static_cast<double>(gate.nbytes())});
  const auto h = at::empty_like(gate);
  with_kernel_type(gate.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(gate.numel(), 1, [&](std::int64_t first, std::int64_t last) {
      row_kernels<T>().swiglu(read_from<T>(gate) + first, read_from<T>(up) + first, last - first,
                              write_to<T>(h) + first);
    });
  });
  return h;
}

std::pair<at::Tensor, at::Tensor> swiglu_gradients(const at::Tensor& gate, const at::Tensor& up,
                                                   const at::Tensor& dh) {
  const WorkScope scope(Work::kSwiglu, {.bytes = 5.0 * static_cast<double>(gate.nbytes())});
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

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  assert(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type());
  return SwigluFunction::apply(gate.contiguous(), up.contiguous());
}

}  // namespace graft
