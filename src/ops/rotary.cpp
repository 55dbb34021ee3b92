#include "ops/rotary.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cassert>
#include <cmath>

#include "ops/kernel_types.h"
#include "ops/parallel.h"
#include "ops/work_scope.h"

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, float sign) {
  const auto tokens = x.size(0), heads = x.size(1), half = x.size(2) / 2, width = heads * 2 * half;
  const WorkScope scope(Work::kRotary, {.bytes = 2.0 * static_cast<double>(x.nbytes())});
  const auto y = at::empty_like(x);
  with_kernel_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(tokens, width, [&](std::int64_t first, std::int64_t last) {
      row_kernels<T>().rotate(read_from<T>(x) + first * width, read_from<float>(cos) + first * half,
                              read_from<float>(sin) + first * half, sign, last - first, heads, half,
                              write_to<T>(y) + first * width);
    });
  });
  return y;
}

struct RotaryFunction : torch::autograd::Function<RotaryFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& cos,
                            const at::Tensor& sin) {
    ctx->save_for_backward({cos, sin});
    return rotate(x, cos, sin, 1);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dys) {
    const auto saved = ctx->get_saved_variables();
    return {rotate(dys[0].contiguous(), saved[0], saved[1], -1), {}, {}};
  }
};

}  // namespace

RotaryTable rotary_table(const PackLayout& layout, const std::vector<double>& frequencies,
                         double attention_factor, std::int64_t offset, at::ScalarType dtype) {
  const auto half = static_cast<std::int64_t>(frequencies.size());
  auto cos = at::empty({layout.tokens(), half}, at::kFloat), sin = at::empty_like(cos);
  auto *c = cos.data_ptr<float>(), *s = sin.data_ptr<float>();
  for (std::int64_t n = 0; n < layout.sequences(); ++n)
    for (auto t = layout.starts[n]; t < layout.starts[n + 1]; ++t)
      for (std::int64_t i = 0; i < half; ++i) {
        // The product in fp32, as Hugging Face forms it: at position 2,000 a better angle is another angle.
        const float angle =
            static_cast<float>(frequencies[i]) * static_cast<float>(t - layout.starts[n] + offset);
        *c++ = std::cos(angle) * static_cast<float>(attention_factor);
        *s++ = std::sin(angle) * static_cast<float>(attention_factor);
      }
  if (dtype != at::kDouble) cos = cos.to(dtype).to(at::kFloat), sin = sin.to(dtype).to(at::kFloat);
  return {cos, sin};
}

at::Tensor rotary(const at::Tensor& x, const RotaryTable& table) {
  const auto dims = 2 * table.cos.size(1);
  assert(x.dim() == 3 && x.size(0) == table.cos.size(0) && x.size(2) >= dims);
  if (x.size(2) > dims) {
    const auto turned = RotaryFunction::apply(x.narrow(2, 0, dims).contiguous(), table.cos, table.sin);
    return at::cat({turned, x.narrow(2, dims, x.size(2) - dims)}, 2);
  }
  return RotaryFunction::apply(x.contiguous(), table.cos, table.sin);
}

}  // namespace graft
