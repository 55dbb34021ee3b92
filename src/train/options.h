#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace graft {

enum class Objective { kSft, kPretrain };
enum class ActivationCheckpointing { kAuto, kNone, kSelective, kFull };
enum class ScheduleName { kCosine, kLinear, kConstant };

/// Section `train` of a recipe.
struct TrainOptions {
  Objective objective = Objective::kSft;
  std::int64_t epochs = 3;       ///< passes over the data; ignored where max_steps > 0
  std::int64_t max_steps = 0;    ///< optimizer steps, over as many epochs as it takes; 0: epochs decide
  std::int64_t batch_size = 16;  ///< examples per optimizer step
  std::int64_t micro_batch_tokens = 0;  ///< tokens per micro-step, 0 = auto
  ActivationCheckpointing activation_checkpointing = ActivationCheckpointing::kAuto;
  double max_grad_norm = 1.0;  ///< 0 = off
};

/// Section `optim`: AdamW.
struct OptimOptions {
  double learning_rate = 2e-4;  ///< peak, > 0
  double weight_decay = 0.0;
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double loraplus_lr_ratio = 1.0;       ///< learning rate of B over that of A
  double loraplus_lr_embedding = 1e-6;  ///< of an embedding's adapter; used where the ratio is not 1
};

/// Section `schedule`.
struct ScheduleOptions {
  ScheduleName name = ScheduleName::kCosine;
  double warmup_ratio = 0.03;     ///< share of all steps
  std::int64_t warmup_steps = 0;  ///< > 0 replaces warmup_ratio
  double min_lr_ratio = 0.1;      ///< floor of the decay, share of the peak
};

/// Section `evaluation`.
struct EvaluationOptions {
  std::int64_t every_steps = 50;
  std::int64_t early_stopping_patience = 0;  ///< evaluations without a better loss before stopping; 0 = never
  std::vector<std::string> sample_prompts;   ///< answered after each evaluation
};

/// Section `checkpoint`.
struct CheckpointOptions {
  std::int64_t every_steps = 100;
  std::int64_t keep_last = 2;  ///< >= 1
  bool keep_best = true;
};

/// Section `log`.
struct LogOptions {
  std::int64_t every_steps = 1;
};

}  // namespace graft
