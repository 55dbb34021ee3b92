#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/adapter.h"
#include "model/layers.h"
#include "peft/options.h"

namespace graft {

/// The low-rank addition to one linear: W x + scale * B (A x).
struct LoraFactors {
  std::string module;  ///< path of the linear
  at::Tensor a;        ///< [R,in] fp32 master; undefined: the linear stays as it is
  at::Tensor b;        ///< [out,R] fp32 master
};

/// LoRA over the linears that share one input: y = W x + s B A drop(x), s = alpha / R, or alpha / sqrt(R)
/// (rsLoRA). Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), section 4.1;
/// Kalajdzievski, "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA" (2023).
class Lora : public Adapter {
 public:
  /// One entry per linear of the group, in its order; at least one with factors.
  Lora(std::vector<LoraFactors> factors, const LoraOptions& options);

  std::vector<at::Tensor> forward(const LinearInput& input, const std::vector<Linear>& group,
                                  const Pass& pass, const LinearOutput& output = {}) const override;
  std::vector<Parameter> parameters() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;

 private:
  std::vector<LoraFactors> factors_;
  double scale_, dropout_;
};

/// alpha / r, or alpha / sqrt(r).
double lora_scale(const LoraOptions& options);

/// Fresh factors of one linear, a pure function of (seed, module): B zero, A uniform in ±1/sqrt(in) (what
/// kaiming_uniform_(a=sqrt(5)) of PEFT's default amounts to) or normal with deviation 1/r (gaussian).
LoraFactors fresh_factors(const Linear& linear, const LoraOptions& options, std::uint64_t seed);

/// Factors under the paths of their linears.
using FactorsByModule = std::map<std::string, LoraFactors>;

}  // namespace graft
