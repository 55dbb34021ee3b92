#include "ops/dropout.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cassert>
#include <cmath>

#include "base/random.h"
#include "ops/held.h"
#include "ops/kernel_types.h"
#include "ops/parallel.h"

namespace graft {
namespace {

std::uint32_t low(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
std::uint32_t high(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }

struct Mask {
  LoraDropout dropout;
  std::uint64_t module;
};

// The mask times x is linear in x: the gradient takes the same mask.
struct Drop : torch::autograd::Function<Drop> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, const Mask& mask) {
    ctx->saved_data["mask"] = hold(mask);
    return drop(x, mask.dropout, mask.module);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::variable_list& dys) {
    const auto mask = held<Mask>(ctx->saved_data["mask"]);
    return {drop(dys[0].contiguous(), mask.dropout, mask.module), at::Tensor()};
  }
};

}  // namespace

at::Tensor drop(const at::Tensor& x, const LoraDropout& dropout, std::uint64_t module) {
  const auto& layout = dropout.layout;
  const auto width = x.size(1);
  assert(x.dim() == 2 && x.is_contiguous() && layout.tokens() == x.size(0));
  assert(layout.ids.size() + 1 == layout.starts.size());
  assert(dropout.probability >= 0 && dropout.probability < 1);
  const auto key = mix(mix(dropout.key.seed, static_cast<std::uint64_t>(dropout.key.epoch)), module);
  const auto threshold = static_cast<std::uint32_t>(std::ldexp(dropout.probability, 32));
  const auto scale = static_cast<float>(1.0 / (1.0 - dropout.probability));
  const auto y = at::empty_like(x);
  with_kernel_type(x.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for (std::size_t n = 0; n < layout.ids.size(); ++n) {
      const auto start = layout.starts[n];
      const auto id = layout.ids[n];
      for_rows(layout.starts[n + 1] - start, 4 * width, [&](std::int64_t first, std::int64_t last) {
        for (auto position = first; position < last; ++position) {
          const auto at = (start + position) * width;
          row_kernels<T>().drop(read_from<T>(x) + at,
                                {{low(key), high(key)},
                                 static_cast<std::uint32_t>(position),
                                 {low(id), high(id)},
                                 threshold,
                                 scale},
                                width, write_to<T>(y) + at);
        }
      });
    }
  });
  return y;
}

at::Tensor dropped(const at::Tensor& x, const LoraDropout& dropout, std::uint64_t module) {
  return Drop::apply(x.contiguous(), Mask{dropout, module});
}

}  // namespace graft
