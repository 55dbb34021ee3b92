#include "train/workload.h"

#include <algorithm>
#include <numeric>

#include "evaluate/loss.h"

namespace graft {
namespace {

using Members = std::vector<std::size_t>;

struct PackCounts {
  PackSize size;
  StepCounts counts;
};

PackCounts count_pack(const std::vector<Example>& examples, const Members& members) {
  PackCounts pack;
  for (const std::size_t i : members) {
    const auto length = std::ssize(examples[i].tokens);
    pack.size.tokens += length;
    pack.size.targets += examples[i].target_count();
    pack.counts.squared_lengths += static_cast<double>(length) * static_cast<double>(length);
  }
  pack.counts.tokens = static_cast<double>(computed_tokens(pack.size.tokens));
  pack.counts.target_tokens = static_cast<double>(pack.size.targets);
  return pack;
}

void scale(StepCounts& counts, double factor) {
  counts.tokens *= factor;
  counts.target_tokens *= factor;
  counts.squared_lengths *= factor;
}

std::int64_t scaled(std::int64_t count, double factor) {
  return static_cast<std::int64_t>(static_cast<double>(count) * factor + 0.5);
}

// One pass over the counted steps, so far.
class Counter {
 public:
  Counter(const std::vector<Example>& examples, const Plan& plan) : examples_(examples), plan_(plan) {}

  void add_step(const Members& chosen) {
    for (const Members& members : choose_packs(examples_, chosen, plan_.micro_batch_tokens)) {
      const PackCounts pack = count_pack(examples_, members);
      const bool is_long = pack.size.tokens > plan_.micro_batch_tokens;
      ++work_.micro_steps;
      work_.tokens += pack.size.tokens;
      work_.target_tokens += pack.size.targets;
      (is_long ? work_.long_packs : work_.short_packs) += pack.counts;
      PackSize& largest = is_long ? work_.largest_long : work_.largest_short;
      largest.tokens = std::max(largest.tokens, pack.size.tokens);
      largest.targets = std::max(largest.targets, pack.size.targets);
    }
  }

  // The counted steps, `passes` times.
  Workload times(double passes) && {
    work_.tokens = scaled(work_.tokens, passes);
    work_.target_tokens = scaled(work_.target_tokens, passes);
    work_.micro_steps = scaled(work_.micro_steps, passes);
    scale(work_.short_packs, passes);
    scale(work_.long_packs, passes);
    return std::move(work_);
  }

 private:
  const std::vector<Example>& examples_;
  const Plan& plan_;
  Workload work_;
};

void count_evaluations(Workload& work, const Dataset& data, std::int64_t every_steps, const Plan& plan) {
  if (data.eval.empty()) return;
  // Before the first step, at every so many steps, and at the end.
  const bool falls_on_end = plan.total_steps % every_steps == 0;
  work.evaluations = 1 + plan.total_steps / every_steps + (falls_on_end ? 0 : 1);
  Members all(data.eval.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  for (const Members& members : choose_packs(data.eval, all, plan.micro_batch_tokens))
    work.evaluated += count_pack(data.eval, members).counts;
  scale(work.evaluated, static_cast<double>(work.evaluations));
}

}  // namespace

Workload count_workload(const Dataset& data, const TrainingOptions& options, const Plan& plan) {
  const std::vector<Members> steps =
      epoch_steps(data.train.size(), options.train.batch_size, options.shuffle, options.seed, 0);
  const std::int64_t counted = std::min(plan.total_steps, std::ssize(steps));
  Counter counter(data.train, plan);
  for (std::int64_t i = 0; i < counted; ++i) counter.add_step(steps[static_cast<std::size_t>(i)]);
  const double repeats =
      static_cast<double>(plan.total_steps) / static_cast<double>(std::max<std::int64_t>(1, counted));
  Workload work = std::move(counter).times(repeats);
  work.passes = static_cast<double>(plan.total_steps) / static_cast<double>(plan.steps_per_epoch);
  count_evaluations(work, data, options.evaluation.every_steps, plan);
  return work;
}

}  // namespace graft
