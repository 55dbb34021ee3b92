#include "ops/cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "base/error.h"
#include "ops/cross_entropy_fused.h"
#include "ops/kernel_types.h"
#include "ops/parallel.h"
#include "ops/work_scope.h"

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kChunkRows = 256;  // rows of logits that exist at a time

// logits [n,V] -> loss [n]; where wanted, the logits become their own gradient.
void take_losses(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& loss,
                 bool differentiate) {
  const auto vocabulary = logits.size(1);
  with_kernel_type(logits.scalar_type(), [&](auto type) {
    using T = decltype(type);
    for_rows(logits.size(0), vocabulary, [&](std::int64_t first, std::int64_t last) {
      T* rows = write_to<T>(logits) + first * vocabulary;
      row_kernels<T>().cross_entropy(rows, read_from<std::int64_t>(targets) + first, last - first, vocabulary,
                                     write_to<SumOf<T>>(loss) + first, differentiate ? rows : nullptr);
    });
  });
}

// Products and operands: hidden, W and the gradient; logits come and go in the cache.
WorkSize size_of(const at::Tensor& hidden, const FrozenWeight& head, bool differentiate) {
  const double products = differentiate ? 2 : 1;
  const auto weights = static_cast<double>(head.out_features() * head.in_features());
  return {.flops = 2 * products * static_cast<double>(hidden.size(0)) * weights,
          .bytes = products * (static_cast<double>(hidden.nbytes()) +
                               weights * static_cast<double>(hidden.element_size()))};
}

// Logits exist only a chunk of rows at a time. Where they are capped they differ from each other by little
// and are not rounded to bf16; the cap's derivative is 1 - tanh^2.
LossAndGradient chunked_cross_entropy(const at::Tensor& hidden, const FrozenWeight& head,
                                      const at::Tensor& targets, double softcap, bool differentiate) {
  const auto rows = hidden.size(0);
  const auto loss = at::empty({rows}, hidden.options().dtype(sum_type(hidden.scalar_type())));
  const auto gradient = differentiate ? at::empty_like(hidden) : at::Tensor();
  const bool wide = softcap > 0 && hidden.scalar_type() == at::kBFloat16;
  for (std::int64_t first = 0; first < rows; first += kChunkRows) {
    const auto last = std::min(first + kChunkRows, rows);
    const auto some = hidden.slice(0, first, last);
    auto logits = (wide ? head.times_transposed_f32(some) : head.times_transposed(some)).contiguous();
    const auto tanh = softcap > 0 ? logits.div_(softcap).tanh_() : at::Tensor();
    if (softcap > 0) logits = tanh * softcap;
    take_losses(logits, targets.slice(0, first, last), loss.slice(0, first, last), differentiate);
    if (!differentiate) continue;
    if (softcap > 0) logits.mul_(tanh.square_().neg_().add_(1));
    gradient.slice(0, first, last).copy_(head.times(logits.to(hidden.scalar_type())));
  }
  return {loss, gradient};
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden, const at::Tensor& targets,
                            const FrozenWeightPtr& head, double softcap, bool differentiate) {
    const WorkScope scope(Work::kLoss, size_of(hidden, *head, differentiate));
    const auto way = suits_products(hidden, head->out_features(), head->in_features())
                         ? fused_cross_entropy
                         : chunked_cross_entropy;
    const auto [loss, gradient] = way(hidden, *head, targets, softcap, differentiate);
    if (differentiate) ctx->save_for_backward({gradient});
    return loss;
  }

  // Row i of the gradient times the gradient of loss i.
  static variable_list backward(AutogradContext* ctx, const variable_list& dlosses) {
    const auto gradient = ctx->get_saved_variables()[0];
    const auto dloss = dlosses[0].contiguous();
    const auto width = gradient.size(1);
    const auto dhidden = at::empty_like(gradient);
    with_kernel_type(gradient.scalar_type(), [&](auto type) {
      using T = decltype(type);
      for_rows(gradient.size(0), width, [&](std::int64_t first, std::int64_t last) {
        for (auto row = first; row < last; ++row)
          row_kernels<T>().scale(read_from<T>(gradient) + row * width, read_from<SumOf<T>>(dloss)[row], width,
                                 write_to<T>(dhidden) + row * width);
      });
    });
    return {dhidden, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const FrozenWeightPtr& head,
                                const at::Tensor& targets, const LogitOptions& options) {
  check(hidden.dim() == 2 && targets.dim() == 1 && targets.size(0) == hidden.size(0),
        "linear_cross_entropy: one target per row wanted");
  if (targets.numel() > 0) {
    const auto low = targets.min().item<std::int64_t>(), high = targets.max().item<std::int64_t>();
    check(low >= 0 && high < head->out_features(), "target out of range (got ", low < 0 ? low : high,
          ", want 0 … ", head->out_features() - 1, ")");
  }
  const bool differentiate = at::GradMode::is_enabled() && hidden.requires_grad();
  const auto scaled = options.scale == 1.0 ? hidden : hidden * options.scale;
  return LinearCrossEntropy::apply(scaled.contiguous(), targets.contiguous(), head, options.softcap,
                                   differentiate);
}

}  // namespace graft
