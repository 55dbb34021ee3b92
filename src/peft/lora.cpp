#include "peft/lora.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "base/random.h"
#include "ops/linear.h"

namespace graft {
namespace {

constexpr char kInitKey[] = "lora init";

std::uint64_t key_of(const std::string& name) { return hash_name(name.data(), name.size()); }

void draw(RandomStream random, const LoraOptions& options, const at::Tensor& a) {
  const auto rank = static_cast<double>(options.r), root = std::sqrt(static_cast<double>(a.size(1)));
  float* values = a.mutable_data_ptr<float>();
  if (options.init == LoraInit::kGaussian)
    std::generate_n(values, a.numel(), [&] { return static_cast<float>(random.normal() / rank); });
  else
    std::generate_n(values, a.numel(),
                    [&] { return static_cast<float>((2.0 * random.uniform() - 1.0) / root); });
}

}  // namespace

double lora_scale(const LoraOptions& options) {
  const auto rank = static_cast<double>(options.r);
  return options.alpha / (options.use_rslora ? std::sqrt(rank) : rank);
}

LoraFactors fresh_factors(const Linear& linear, const LoraOptions& options, std::uint64_t seed) {
  const std::int64_t in = linear.weight->in_features();
  LoraFactors factors{linear.name, at::empty({options.r, in}, at::kFloat),
                      at::zeros({linear.weight->out_features(), options.r}, at::kFloat)};
  draw(RandomStream(mix(mix(seed, key_of(kInitKey)), key_of(linear.name))), options, factors.a);
  return factors;
}

Lora::Lora(std::vector<LoraFactors> factors, const LoraOptions& options)
    : factors_(std::move(factors)), scale_(lora_scale(options)), dropout_(options.dropout) {
  for (const LoraFactors& entry : factors_) {
    if (!entry.a.defined()) continue;
    entry.a.set_requires_grad(true);
    entry.b.set_requires_grad(true);
  }
}

std::vector<at::Tensor> Lora::forward(const LinearInput& input, const std::vector<Linear>& group,
                                      const Pass& pass, const LinearOutput& output) const {
  assert(group.size() == factors_.size());
  std::vector<LoraTerm> terms;
  terms.reserve(group.size());
  for (std::size_t i = 0; i < group.size(); ++i)
    terms.push_back(
        {group[i].weight, group[i].bias, factors_[i].a, factors_[i].b, scale_, key_of(group[i].name)});
  std::optional<LoraDropout> dropout;
  if (pass.dropout && dropout_ > 0) dropout = LoraDropout{dropout_, *pass.dropout, pass.layout};
  return lora_linear(input, terms, dropout, output);
}

std::vector<Parameter> Lora::parameters() const {
  std::vector<Parameter> parameters;
  for (const LoraFactors& entry : factors_) {
    if (!entry.a.defined()) continue;
    parameters.push_back({entry.module + ".lora_A.weight", entry.a});
    parameters.push_back({entry.module + ".lora_B.weight", entry.b});
  }
  return parameters;
}

at::Tensor Lora::merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const {
  const at::NoGradGuard no_grad;
  const auto found = std::find_if(factors_.begin(), factors_.end(),
                                  [&](const LoraFactors& entry) { return entry.module == linear.name; });
  if (found == factors_.end() || !found->a.defined()) return rows;
  return at::addmm(rows, found->b.narrow(0, first, rows.size(0)), found->a, 1.0, scale_);
}

}  // namespace graft
