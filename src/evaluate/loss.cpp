#include "evaluate/loss.h"

#include <ATen/Functions.h>
#include <ATen/core/Reduction.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/dataset.h"
#include "ops/cross_entropy.h"
#include "ops/recompute.h"

namespace graft {
namespace {

// Heights are rounded up by a last sequence that nobody learns from (computed_tokens) and by loss rows that
// nobody counts: at most 3 % of a full micro-step, and not a bit of the result.
constexpr std::int64_t kLossRowUnit = 32;

std::int64_t rounded_up(std::int64_t count, std::int64_t unit) { return (count + unit - 1) / unit * unit; }

at::Tensor int64_tensor(const std::vector<std::int64_t>& values) {
  at::Tensor tensor = at::empty({std::ssize(values)}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<std::int64_t>());
  return tensor;
}

at::Tensor token_tensor(const std::vector<std::int32_t>& tokens) {
  return int64_tensor(std::vector<std::int64_t>(tokens.begin(), tokens.end()));
}

// Logits of a trained head are made for so many rows at a time, and again in the backward.
constexpr std::int64_t kLogitRows = 256;

at::Tensor adapted_head_losses(const Decoder& model, const at::Tensor& rows, const at::Tensor& ids) {
  std::vector<at::Tensor> losses;
  for (std::int64_t first = 0; first < rows.size(0); first += kLogitRows) {
    const std::int64_t count = std::min(kLogitRows, rows.size(0) - first);
    const at::Tensor targets = ids.narrow(0, first, count);
    const auto piece = [&model, targets](const at::Tensor& hidden) {
      return at::cross_entropy_loss(model.logits(hidden), targets, {}, at::Reduction::None);
    };
    losses.push_back(recompute(piece, rows.narrow(0, first, count)));
  }
  return at::cat(losses);
}

// Losses of the positions of hidden [T,D] that have a target, [L] fp32.
at::Tensor losses_of(const Decoder& model, const at::Tensor& hidden,
                     const std::vector<std::int32_t>& targets) {
  std::vector<std::int64_t> positions, learned;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] == kNoTarget) continue;
    positions.push_back(static_cast<std::int64_t>(i));
    learned.push_back(targets[i]);
  }
  const std::int64_t count = std::ssize(learned);
  positions.resize(rounded_up(count, kLossRowUnit));
  learned.resize(positions.size());
  const at::Tensor rows = hidden.index_select(0, int64_tensor(positions)), ids = int64_tensor(learned);
  const at::Tensor losses = model.head_adapter
                                ? adapted_head_losses(model, rows, ids)
                                : linear_cross_entropy(rows, model.head.weight, ids, model.logit_options());
  return losses.narrow(0, 0, count);
}

double sum_of(const at::Tensor& losses) { return losses.sum(at::kDouble).item<double>(); }

}  // namespace

at::Tensor token_losses(const Decoder& model, const Pack& pack, Pass pass) {
  pass.layout = PackLayout{pack.starts, pack.ids};
  std::vector<std::int32_t> tokens = pack.tokens;
  const std::int64_t height = computed_tokens(std::ssize(tokens));
  if (height > std::ssize(tokens)) {
    pass.layout.starts.push_back(height);
    pass.layout.ids.push_back(0);
    tokens.resize(static_cast<std::size_t>(height));
  }
  return losses_of(model, model.hidden(token_tensor(tokens), std::move(pass)), pack.targets);
}

LossSum evaluate_loss(const Decoder& model, const std::vector<Example>& examples,
                      std::int64_t micro_batch_tokens, const std::function<bool()>& stop) {
  const at::NoGradGuard no_grad;
  std::vector<std::size_t> all(examples.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  LossSum sum;
  for (const Pack& pack : make_step(examples, all, micro_batch_tokens).packs) {
    if (stop && stop()) break;
    if (pack.target_count() == 0) continue;
    sum.loss += sum_of(token_losses(model, pack));
    sum.tokens += pack.target_count();
  }
  return sum;
}

RowScore score_example(const Decoder& model, const Example& example, std::int64_t top_k) {
  const at::NoGradGuard no_grad;
  Pass pass;
  pass.layout = PackLayout::single(std::ssize(example.tokens));
  const at::Tensor hidden = model.hidden(token_tensor(example.tokens), std::move(pass));
  RowScore score{.loss = 0.0, .tokens = example.target_count(), .top = {}};
  if (score.tokens > 0)
    score.loss = sum_of(losses_of(model, hidden, example.targets)) / static_cast<double>(score.tokens);
  if (top_k <= 0) return score;
  const at::Tensor logits = model.logits(hidden.narrow(0, hidden.size(0) - 1, 1))[0];  // [V]
  const at::Tensor log_probs = logits.to(at::kDouble).log_softmax(-1);
  const auto [values, ids] = log_probs.topk(std::min(top_k, log_probs.size(0)));
  for (std::int64_t i = 0; i < values.size(0); ++i)
    score.top.emplace_back(static_cast<std::int32_t>(ids[i].item<std::int64_t>()), values[i].item<double>());
  return score;
}

}  // namespace graft
