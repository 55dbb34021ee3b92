#include "train/step.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "evaluate/loss.h"
#include "ops/work_scope.h"

namespace graft {
namespace {

constexpr std::size_t kSourcesNamed = 8;

std::string sources_of(const Pack& pack, const std::vector<Example>& examples) {
  std::string text;
  for (std::size_t n = 0; n < pack.ids.size(); ++n) {
    if (n == kSourcesNamed) return text + ", …";
    const auto row =
        std::find_if(examples.begin(), examples.end(), [&](const Example& e) { return e.id == pack.ids[n]; });
    if (row != examples.end()) text += (text.empty() ? "" : ", ") + row->source.text();
  }
  return text;
}

}  // namespace

std::optional<double> accumulate_gradients(const Decoder& model, const Step& step, const Plan& plan,
                                           DropoutKey dropout, const std::vector<Example>& examples,
                                           const std::function<bool()>& stop) {
  double loss = 0.0;
  const auto targets = static_cast<double>(step.target_tokens);
  for (const Pack& pack : step.packs) {
    if (stop()) return std::nullopt;
    Pass pass;
    pass.dropout = dropout;
    const bool is_long = static_cast<std::int64_t>(pack.tokens.size()) > plan.micro_batch_tokens;
    pass.recompute = is_long ? plan.recompute_long : plan.recompute;
    const at::Tensor sum = token_losses(model, pack, pass).sum();
    const double pack_loss = sum.item<double>();
    check(std::isfinite(pack_loss), ExitCode::kNumerics, "the loss is not finite (", pack_loss, ") for ",
          sources_of(pack, examples),
          Hint{"lower optim.learning_rate, or look at these rows with `graft data preview`; checkpoints are "
               "kept"});
    const WorkScope backward(kBackwardPass);
    sum.div(targets).backward();
    loss += pack_loss;
  }
  return loss / targets;
}

}  // namespace graft
