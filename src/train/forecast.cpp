#include "train/forecast.h"

#include <algorithm>
#include <cmath>

namespace graft {
namespace {

// Share of the probed rate that each kind of work reaches: its needed FLOPs over its seconds in
// `train --profile`. The two thirds of LoRA's FLOPs that are folded into products of the base, norms, copies
// and the optimizer count to the base's seconds. Measured on SmolLM2-135M: rows of 1,024 gave 0.75, 0.98,
// 0.81, 0.71, chat rows 0.83, 0.93, 0.73, 0.62.
struct Efficiency {
  double base, head, lora, attention;
};
constexpr Efficiency kEfficiency{.base = 0.79, .head = 0.95, .lora = 0.7, .attention = 0.65};

// Of the same products, where weights are decoded on the way.
constexpr double kDecodingEfficiency = 0.96;
double decoding_efficiency(Quantization quantization) {
  return quantization == Quantization::kNone ? 1.0 : kDecodingEfficiency;
}

// How much faster the same products are in int8.
double int8_gain(Compute compute) { return compute == Compute::kInt8 ? 1.5 : 1.0; }

// Parts of the needed FLOPs that are forward: of 4 N, of 7 s d_q (two products of seven), of 6 P.
constexpr double kForwardBase = 1.0 / 2, kForwardAttention = 2.0 / 7, kForwardLora = 1.0 / 3;

StepFlops operator+(const StepFlops& a, const StepFlops& b) {
  return {a.base + b.base, a.lora + b.lora, a.attention + b.attention, a.head + b.head};
}

StepFlops forward_part(const StepFlops& flops) {
  return {.base = kForwardBase * flops.base,
          .lora = kForwardLora * flops.lora,
          .attention = kForwardAttention * flops.attention,
          .head = kForwardBase * flops.head};
}

// Share of N_lin that is computed again: all of a block, or its MLP.
StepFlops again(const TrainingShape& shape, Recompute policy, const StepFlops& needed) {
  StepFlops flops = forward_part(needed);
  flops.head = 0;
  if (policy == Recompute::kBlocks) return flops;
  if (policy == Recompute::kNothing) return {};
  const ModelConfig& c = shape.config;
  const double mlp = static_cast<double>(mlp_parameters(c)) / static_cast<double>(linear_parameters(c));
  return {.base = mlp * flops.base, .lora = mlp * flops.lora, .attention = 0, .head = 0};
}

// Nothing is differentiated below the first adapter.
StepFlops needed(const TrainingShape& shape, const StepCounts& counts) {
  const StepFlops whole = step_flops(shape.config, shape.active_adapter_parameters, counts);
  const StepFlops forward = forward_part(whole);
  const double trained =
      1.0 - static_cast<double>(shape.first_block) / static_cast<double>(shape.config.num_hidden_layers);
  return {.base = forward.base + trained * (whole.base - forward.base),
          .lora = whole.lora,
          .attention = forward.attention + trained * (whole.attention - forward.attention),
          .head = whole.head};
}

double seconds_of(const StepFlops& flops, const TrainingShape& shape, double rate) {
  if (rate <= 0) return 0;
  const double decoding = shape.compute == Compute::kInt8 ? 1.0 : decoding_efficiency(shape.quantization);
  const double work = flops.base / (kEfficiency.base * decoding * int8_gain(shape.compute)) +
                      flops.head / kEfficiency.head + flops.lora / kEfficiency.lora +
                      flops.attention / kEfficiency.attention;
  return work / rate;
}

MemoryBytes larger(const MemoryBytes& a, const MemoryBytes& b) { return a.total() < b.total() ? b : a; }

}  // namespace

Forecast make_forecast(const TrainingShape& shape, const Plan& plan, const Workload& work,
                       std::int64_t data_tokens, double gemm_rate) {
  Forecast forecast;
  forecast.memory = larger(peak_memory(shape, plan.recompute, work.largest_short, data_tokens),
                           peak_memory(shape, plan.recompute_long, work.largest_long, data_tokens));
  const StepFlops of_short = needed(shape, work.short_packs), of_long = needed(shape, work.long_packs);
  forecast.training = of_short + of_long + again(shape, plan.recompute, of_short) +
                      again(shape, plan.recompute_long, of_long);
  forecast.evaluation =
      forward_part(step_flops(shape.config, shape.active_adapter_parameters, work.evaluated));
  forecast.training_seconds = seconds_of(forecast.training, shape, gemm_rate);
  forecast.evaluation_seconds = seconds_of(forecast.evaluation, shape, gemm_rate);
  return forecast;
}

PackSize mean_pack(const Workload& work) {
  const double packs = static_cast<double>(std::max<std::int64_t>(1, work.micro_steps));
  const auto mean = [&](double sum) { return std::max<std::int64_t>(1, std::llround(sum / packs)); };
  const StepCounts counts = work.trained();
  return {.tokens = mean(counts.tokens), .targets = mean(counts.target_tokens)};
}

}  // namespace graft
