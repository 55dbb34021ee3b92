#include "evaluate/compare.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace graft {

at::Tensor log_probabilities(const Decoder& model, const std::vector<std::int32_t>& tokens) {
  const at::NoGradGuard no_grad;
  at::Tensor ids = at::empty({std::ssize(tokens)}, at::kLong);
  std::copy(tokens.begin(), tokens.end(), ids.mutable_data_ptr<std::int64_t>());
  Pass pass;
  pass.layout = PackLayout::single(std::ssize(tokens));
  return model.logits(model.hidden(ids, std::move(pass))).log_softmax(-1);
}

Difference compare(const at::Tensor& reference, const at::Tensor& other) {
  const at::Tensor p = reference.to(at::kDouble), q = other.to(at::kDouble);
  const auto [values, ids] = p.topk(std::min(kComparedTokens, p.size(-1)), -1);
  const at::Tensor gap = values - q.gather(-1, ids);
  return {.positions = p.size(0),
          .largest = gap.abs().max().item<double>(),
          .rms = std::sqrt(gap.square().mean().item<double>()),
          .kl = (p.exp() * (p - q)).sum(-1).mean().item<double>(),
          .top1 = p.argmax(-1).eq(q.argmax(-1)).to(at::kDouble).mean().item<double>()};
}

}  // namespace graft
