#include "train/plan.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"

namespace graft {
namespace {

// Larger micro-steps gain nothing on a CPU: the products are at their rate by then.
constexpr std::int64_t kMaxMicroBatchTokens = 2048;
// Smaller ones read the weights too often: before that, something is computed again.
constexpr std::int64_t kEnoughTokens = 1024;
constexpr std::int64_t kMicroBatchUnit = 256;

// From the least computed again to the least kept.
constexpr std::array kPolicies = {Recompute::kNothing, Recompute::kMlp, Recompute::kBlocks};

std::optional<Recompute> given_policy(ActivationCheckpointing option) {
  switch (option) {
    case ActivationCheckpointing::kNone:
      return Recompute::kNothing;
    case ActivationCheckpointing::kSelective:
      return Recompute::kMlp;
    case ActivationCheckpointing::kFull:
      return Recompute::kBlocks;
    case ActivationCheckpointing::kAuto:
      break;
  }
  return std::nullopt;
}

// What a micro-step may take, and whether one does. All of its tokens may have targets.
class Budget {
 public:
  Budget(const TrainingShape& shape, std::int64_t data_tokens, std::uint64_t installed)
      : shape_(shape), unknown_(installed == 0) {
    const MemoryBytes bytes = peak_memory(shape, Recompute::kNothing, {}, data_tokens);
    const std::uint64_t fixed = bytes.total() - bytes.of_micro_step();
    budget_ = installed > fixed ? (installed - fixed) / 2 : 0;
  }

  bool fits(Recompute policy, std::int64_t tokens) const {
    const PackSize pack{.tokens = tokens, .targets = tokens};
    return unknown_ || peak_memory(shape_, policy, pack, 0).of_micro_step() <= budget_;
  }
  std::int64_t most_tokens(Recompute policy) const {
    std::int64_t tokens = kMaxMicroBatchTokens;
    while (tokens > kMicroBatchUnit && !fits(policy, tokens)) tokens -= kMicroBatchUnit;
    return tokens;
  }
  Recompute least_recompute(std::int64_t tokens) const {
    const auto* found =
        std::ranges::find_if(kPolicies, [&](Recompute policy) { return fits(policy, tokens); });
    return found == kPolicies.end() ? kPolicies.back() : *found;
  }

 private:
  const TrainingShape& shape_;
  bool unknown_;
  std::uint64_t budget_ = 0;
};

void choose_micro_step(Plan& plan, const TrainOptions& train, const Budget& budget) {
  const std::optional<Recompute> given = given_policy(train.activation_checkpointing);
  plan.micro_batch_tokens = train.micro_batch_tokens;
  if (train.micro_batch_tokens > 0) {
    plan.recompute = given ? *given : budget.least_recompute(train.micro_batch_tokens);
    return;
  }
  for (const Recompute policy : kPolicies) {
    plan.recompute = given.value_or(policy);
    plan.micro_batch_tokens = budget.most_tokens(plan.recompute);
    if (plan.micro_batch_tokens >= kEnoughTokens && budget.fits(plan.recompute, plan.micro_batch_tokens))
      return;
  }
}

}  // namespace

Plan make_plan(const TrainOptions& train, const TrainingShape& shape, const DataCounts& data,
               std::uint64_t installed_memory) {
  check(train.batch_size >= 1, ExitCode::kUsage, "batch_size: got ", train.batch_size, ", want at least 1");
  Plan plan;
  plan.steps_per_epoch = (data.examples + train.batch_size - 1) / train.batch_size;
  plan.total_steps = train.max_steps > 0 ? train.max_steps : train.epochs * plan.steps_per_epoch;
  const Budget budget(shape, data.tokens, installed_memory);
  choose_micro_step(plan, train, budget);
  const bool automatic = train.activation_checkpointing == ActivationCheckpointing::kAuto;
  const bool is_longer = data.longest > plan.micro_batch_tokens;
  plan.recompute_long = automatic && is_longer ? budget.least_recompute(data.longest) : plan.recompute;
  return plan;
}

const char* name_of(Recompute policy) {
  switch (policy) {
    case Recompute::kNothing:
      return "none";
    case Recompute::kMlp:
      return "selective";
    case Recompute::kBlocks:
      return "full";
  }
  return "";
}

}  // namespace graft
