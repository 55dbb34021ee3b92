#include "ops/cross_entropy.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr std::int64_t kChunkRows = 256;  // rows of logits that exist at a time

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden, const at::Tensor& targets,
                            const FrozenWeightPtr& head, bool differentiate) {
    const auto rows = hidden.size(0);
    const auto type = hidden.scalar_type();
    auto loss = at::empty({rows}, hidden.options().dtype(type == at::kDouble ? at::kDouble : at::kFloat));
    at::Tensor gradient = differentiate ? at::empty_like(hidden) : at::Tensor();
    for (std::int64_t first = 0; first < rows; first += kChunkRows) {
      const auto last = std::min(first + kChunkRows, rows);
      const auto target = targets.slice(0, first, last).unsqueeze(1);
      auto log_p =
          at::log_softmax(head->times_transposed(hidden.slice(0, first, last)).to(loss.scalar_type()), 1);
      loss.slice(0, first, last).copy_(log_p.gather(1, target).squeeze(1).neg());
      if (!differentiate) continue;
      auto p = log_p.exp_();
      p.scatter_add_(1, target, at::full({last - first, 1}, -1.0, p.options()));
      gradient.slice(0, first, last).copy_(head->times(p.to(type)));
    }
    if (differentiate) ctx->save_for_backward({gradient});
    return loss;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dlosses) {
    const auto gradient = ctx->get_saved_variables()[0];
    return {(gradient * dlosses[0].unsqueeze(1)).to(gradient.scalar_type()), {}, {}, {}};
  }
};

}  // namespace

at::Tensor linear_cross_entropy(const at::Tensor& hidden, const FrozenWeightPtr& head,
                                const at::Tensor& targets) {
  check(hidden.dim() == 2 && targets.dim() == 1 && targets.size(0) == hidden.size(0),
        "linear_cross_entropy: one target per row wanted");
  if (targets.numel() > 0) {
    const auto low = targets.min().item<std::int64_t>(), high = targets.max().item<std::int64_t>();
    check(low >= 0 && high < head->out_features(), "target out of range (got ", low < 0 ? low : high,
          ", want 0 … ", head->out_features() - 1, ")");
  }
  const bool differentiate = at::GradMode::is_enabled() && hidden.requires_grad();
  return LinearCrossEntropy::apply(hidden, targets, head, differentiate);
}

}  // namespace graft
