#include "train/adamw.h"

#include <ATen/ATen.h>

#include <cmath>

namespace graft {
namespace {

// Parts of one allocation, which all threads clear at once.
std::vector<at::Tensor> zeros_like_all(const std::vector<at::Tensor>& values) {
  std::int64_t total = 0, first = 0;
  for (const at::Tensor& value : values) total += value.numel();
  const at::Tensor all = at::zeros({total}, at::kFloat);
  std::vector<at::Tensor> parts;
  for (const at::Tensor& value : values) {
    parts.push_back(all.narrow(0, first, value.numel()).view(value.sizes()));
    first += value.numel();
  }
  return parts;
}

// Groups of parameters that are updated alike; in this order.
enum Kind : std::size_t { kOthers, kB, kEmbedding, kUndecayed, kKinds };

bool is_norm_or_bias(const std::string& name) {
  const std::string module = name.substr(0, name.rfind('.'));
  return name.ends_with(".bias") || (name.ends_with(".weight") && module.ends_with("norm"));
}

Kind kind_of(const Parameter& parameter) {
  const auto has = [&](const char* part) { return parameter.name.find(part) != std::string::npos; };
  if (has(".lora_embedding_")) return kEmbedding;
  if (is_norm_or_bias(parameter.name)) return kUndecayed;
  return has(".lora_B.") || parameter.value.dim() == 1 ? kB : kOthers;
}

}  // namespace

AdamW::Group AdamW::group_for(const OptimOptions& options, std::size_t kind) {
  Group group;
  const bool plus = options.loraplus_lr_ratio != 1.0;
  if (kind == kB || kind == kUndecayed) group.lr_ratio = options.loraplus_lr_ratio;
  if (kind == kEmbedding && plus) group.lr_ratio = options.loraplus_lr_embedding / options.learning_rate;
  if (kind != kUndecayed) group.weight_decay = options.weight_decay;
  return group;
}

AdamW::AdamW(const std::vector<Parameter>& parameters, const OptimOptions& options) : options_(options) {
  for (std::size_t kind = 0; kind < kKinds; ++kind) groups_.push_back(group_for(options, kind));
  for (const Parameter& parameter : parameters) {
    Group& group = groups_[kind_of(parameter)];
    group.names.push_back(parameter.name);
    group.values.push_back(parameter.value);
  }
  for (Group& group : groups_) {
    group.exp_avgs = zeros_like_all(group.values);
    group.exp_avg_sqs = zeros_like_all(group.values);
  }
}

double AdamW::clip(double max_norm) {
  double squares = 0;
  std::vector<at::Tensor> gradients;
  for (const Group& group : groups_) {
    for (const at::Tensor& value : group.values) {
      if (!value.grad().defined()) continue;
      gradients.push_back(value.grad());
      const double norm = gradients.back().norm().item<double>();
      squares += norm * norm;
    }
  }
  const double norm = std::sqrt(squares);
  if (max_norm > 0 && norm > max_norm) at::_foreach_mul_(gradients, max_norm / norm);
  return norm;
}

void AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  ++steps_;
  for (const Group& group : groups_) {
    std::vector<at::Tensor> values, gradients, exp_avgs, exp_avg_sqs, steps;
    for (std::size_t i = 0; i < group.values.size(); ++i) {
      values.push_back(group.values[i]);
      // An expert that no token of the step was sent to: zero, as PEFT's factors of all experts have it.
      const at::Tensor& gradient = group.values[i].grad();
      gradients.push_back(gradient.defined() ? gradient : at::zeros_like(group.values[i]));
      exp_avgs.push_back(group.exp_avgs[i]);
      exp_avg_sqs.push_back(group.exp_avg_sqs[i]);
      steps.push_back(at::full({}, static_cast<double>(steps_), at::kFloat));
    }
    if (values.empty()) continue;
    at::_fused_adamw_(values, gradients, exp_avgs, exp_avg_sqs, {}, steps, learning_rate * group.lr_ratio,
                      options_.beta1, options_.beta2, group.weight_decay, options_.eps, /*amsgrad=*/false,
                      /*maximize=*/false);
    // The fused update does not tell that it wrote: what is derived from a value is known by its version.
    for (const at::Tensor& value : values) value.unsafeGetTensorImpl()->bump_version();
  }
  drop_gradients();
}

void AdamW::drop_gradients() {
  for (Group& group : groups_) {
    for (at::Tensor& value : group.values) value.mutable_grad().reset();
  }
}

std::vector<Parameter> AdamW::state() const {
  std::vector<Parameter> tensors;
  for (const Group& group : groups_) {
    for (std::size_t i = 0; i < group.values.size(); ++i) {
      tensors.push_back({group.names[i] + ".exp_avg", group.exp_avgs[i]});
      tensors.push_back({group.names[i] + ".exp_avg_sq", group.exp_avg_sqs[i]});
    }
  }
  return tensors;
}

}  // namespace graft
