#include "train/trainer.h"

#include <chrono>
#include <cmath>

#include "base/console.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/signals.h"
#include "evaluate/loss.h"
#include "ops/work_scope.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/schedule.h"
#include "train/step.h"

namespace graft {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The loop's moving parts. Each verb below is one line of the algorithm in train().
class Loop {
 public:
  Loop(const Training& training, const Path& checkpoint)
      : run_(training),
        optimizer_(training.adapters.parameters, training.options.optim),
        metrics_(training.folder.metrics()),
        log_(training.folder.log()) {
    state_.micro_batch_tokens = training.plan.micro_batch_tokens;
    if (!checkpoint.empty()) restore(checkpoint);
    started_at_ = state_.step;
  }

  bool finished() const { return state_.step >= run_.plan.total_steps; }
  bool out_of_patience() const {
    const std::int64_t patience = run_.options.evaluation.early_stopping_patience;
    return patience > 0 && state_.evaluations_without_better >= patience;
  }
  const RunState& state() const { return state_; }

  void evaluate_if_due();
  void save_if_due(bool now);
  void take_step();
  void identify_inputs();

 private:
  void restore(const Path& checkpoint);
  void record(const Evaluation& evaluation);
  void update(StepMetrics& metrics);
  void report(StepMetrics metrics);
  Step next_step();

  const Training& run_;
  AdamW optimizer_;
  AppendFile metrics_, log_;
  RunState state_;
  std::int64_t started_at_ = 0, saved_step_ = -1, epoch_ = -1;
  std::vector<std::vector<std::size_t>> epoch_steps_;
  Clock::time_point start_ = Clock::now();
};

void Loop::restore(const Path& checkpoint) {
  state_ = restore_checkpoint(checkpoint, run_.adapters, optimizer_);
  for (const auto& [what, hash] : run_.hashes.get()) {
    check(state_.hashes[what] == hash, ExitCode::kNoCheckpoint, checkpoint.string(), ": the ", what,
          " has changed since this checkpoint was written",
          Hint{"put it back, or start a new run with lora.from naming this run's adapter"});
  }
  saved_step_ = state_.step;
}

// Hashing the base's files and its weights, side by side: no first step waits for it.
void Loop::identify_inputs() {
  if (!state_.hashes.empty()) return;
  const auto hashed = std::async(std::launch::async, [hashes = run_.hashes] { hashes.wait(); });
  run_.identity.wait();
  state_.hashes = run_.hashes.get();
}

Step Loop::next_step() {
  const std::int64_t epoch = state_.step / run_.plan.steps_per_epoch;
  if (epoch != epoch_) {
    epoch_steps_ = epoch_steps(run_.data.train.size(), run_.options.train.batch_size, run_.options.shuffle,
                               run_.options.seed, epoch);
    epoch_ = epoch;
  }
  const auto index = static_cast<std::size_t>(state_.step % run_.plan.steps_per_epoch);
  return make_step(run_.data.train, epoch_steps_[index], run_.plan.micro_batch_tokens);
}

void Loop::take_step() {
  const Step step = next_step();
  const auto observation = run_.profile ? run_.profile->observe() : nullptr;
  const Clock::time_point start = Clock::now();
  const DropoutKey dropout{.seed = run_.options.seed, .epoch = epoch_};
  const auto loss =
      accumulate_gradients(run_.model, step, run_.plan, dropout, run_.data.train, stop_requested);
  if (!loss) return optimizer_.drop_gradients();
  StepMetrics metrics{.loss = *loss, .tokens = step.tokens, .target_tokens = step.target_tokens};
  update(metrics);
  metrics.step_seconds = seconds_since(start);
  if (observation) run_.profile->add(observation->finish(), step);
  ++state_.step;
  report(metrics);
}

void Loop::update(StepMetrics& metrics) {
  // fp32: the norm reads the gradients, the update reads them and rewrites masters and both moments.
  const WorkScope scope(Work::kOptimizer,
                        {.bytes = 8.0 * 4.0 * static_cast<double>(run_.adapters.parameter_count())});
  metrics.grad_norm = optimizer_.clip(run_.options.train.max_grad_norm);
  check(std::isfinite(metrics.grad_norm), ExitCode::kNumerics, "step ", state_.step + 1,
        ": the gradient is not finite", Hint{"lower optim.learning_rate; checkpoints are kept"});
  metrics.lr = run_.options.optim.learning_rate *
               learning_rate_factor(run_.options.schedule, state_.step, run_.plan.total_steps);
  optimizer_.step(metrics.lr);
}

void Loop::report(StepMetrics metrics) {
  state_.seconds += metrics.step_seconds;
  state_.trained_tokens += metrics.tokens;
  state_.last_loss = metrics.loss;
  if (state_.step == 1) state_.first_step_seconds = seconds_since_exec();
  metrics.step = state_.step;
  metrics.epoch = static_cast<double>(state_.step) / static_cast<double>(run_.plan.steps_per_epoch);
  metrics.seconds = state_.seconds;
  metrics.rss_bytes = peak_rss_bytes();
  metrics_.append(metrics_line(metrics));
  if (state_.step % run_.options.log.every_steps != 0 && !finished()) return;
  const double per_step = seconds_since(start_) / static_cast<double>(state_.step - started_at_);
  const auto left = static_cast<double>(run_.plan.total_steps - state_.step);
  const std::string line = console_line(metrics, run_.plan.total_steps, per_step * left);
  say(line);
  log_.append(line + "\n");
}

void Loop::evaluate_if_due() {
  if (run_.data.eval.empty()) return;
  if (!state_.evaluations.empty() && state_.evaluations.back().step == state_.step) return;
  const bool due = state_.step == 0 || finished() || state_.step % run_.options.evaluation.every_steps == 0;
  if (!due) return;
  const LossSum loss =
      evaluate_loss(run_.model, run_.data.eval, run_.plan.micro_batch_tokens, stop_requested);
  if (stop_requested()) return;
  record({.step = state_.step, .loss = loss.mean(), .tokens = loss.tokens});
  run_.after_evaluation(state_.step);
}

void Loop::record(const Evaluation& evaluation) {
  state_.evaluations.push_back(evaluation);
  // Step 0 is the base itself: it is what later losses are compared with, never the best adapter.
  const bool best = evaluation.step > 0 && evaluation.loss < state_.best_loss;
  if (best) {
    state_.best_loss = evaluation.loss;
    state_.best_step = evaluation.step;
    state_.evaluations_without_better = 0;
  } else if (evaluation.step > 0) {
    ++state_.evaluations_without_better;
  }
  metrics_.append(metrics_line(evaluation));
  const std::string line = console_line(evaluation, run_.plan.total_steps, best);
  say(line);
  log_.append(line + "\n");
}

void Loop::save_if_due(bool now) {
  if (state_.step == 0 || state_.step == saved_step_) return;
  const CheckpointOptions& options = run_.options.checkpoint;
  const bool is_best = options.keep_best && state_.best_step == state_.step;
  if (!now && !is_best && !finished() && state_.step % options.every_steps != 0) return;
  // Lines of metrics.jsonl are on disk before the checkpoint that stands behind them.
  metrics_.sync();
  save_checkpoint(run_.folder.checkpoints(), state_, run_.adapters, optimizer_, run_.base_path,
                  run_.identity.get());
  saved_step_ = state_.step;
  prune_checkpoints(run_.folder.checkpoints(), options.keep_last, options.keep_best ? state_.best_step : -1);
}

}  // namespace

TrainingResult train(const Training& training, const Path& checkpoint) {
  Loop loop(training, checkpoint);
  while (true) {
    loop.evaluate_if_due();
    const bool interrupted = stop_requested();
    const bool enough = loop.finished() || loop.out_of_patience();
    loop.save_if_due(interrupted || enough);
    if (enough) return {loop.finished() ? Outcome::kFinished : Outcome::kStoppedEarly, loop.state()};
    if (interrupted) return {Outcome::kInterrupted, loop.state()};
    loop.take_step();
    loop.identify_inputs();
  }
}

}  // namespace graft
