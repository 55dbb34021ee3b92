#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/adapter.h"
#include "train/options.h"

namespace graft {

/// AdamW over the fp32 masters of the adapters. Its whole state is the two moments and the step count.
/// Biases and norms' weights do not decay, as in Hugging Face's Trainer. With loraplus_lr_ratio, PEFT's
/// groups: B and all vectors learn that many times as fast, an embedding's adapter at loraplus_lr_embedding.
/// Source: Loshchilov & Hutter, "Decoupled Weight Decay Regularization" (2019); Hayou et al., "LoRA+" (2024);
/// create_loraplus_optimizer of huggingface/peft.
class AdamW {
 public:
  /// `parameters` are kept by reference to their tensors; moments start at zero.
  AdamW(const std::vector<Parameter>& parameters, const OptimOptions& options);

  /// Norm of all gradients (L2); scales them down to max_norm where it is larger and max_norm > 0.
  double clip(double max_norm);
  /// One update with the gradients that stand in the parameters, then drops them.
  void step(double learning_rate);
  /// Drops the gradients of a step that is given up.
  void drop_gradients();

  /// The state as named tensors: "NAME.exp_avg", "NAME.exp_avg_sq" of every parameter, fp32, in a fixed
  /// order.
  std::vector<Parameter> state() const;
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

 private:
  struct Group {
    std::vector<at::Tensor> values, exp_avgs, exp_avg_sqs;
    std::vector<std::string> names;
    double lr_ratio = 1.0;  // of the step's learning rate
    double weight_decay = 0.0;
  };
  static Group group_for(const OptimOptions& options, std::size_t kind);

  OptimOptions options_;
  std::vector<Group> groups_;
  std::int64_t steps_ = 0;
};

}  // namespace graft
