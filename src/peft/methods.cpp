#include "peft/methods.h"

#include <algorithm>
#include <array>

#include "peft/adapter_config.h"
#include "peft/dora.h"
#include "peft/embedding_lora.h"
#include "peft/ia3.h"
#include "peft/lora.h"
#include "peft/olora.h"
#include "peft/pissa.h"
#include "peft/vera.h"

namespace graft {
namespace {

std::vector<TensorSpec> tensors_of_lora(const AdapterLayout& layout, const LoraOptions& options) {
  std::vector<TensorSpec> specs;
  for (const AdaptedModule& module : layout.adapted) {
    for (TensorSpec& spec : lora_tensors(module)) specs.push_back(std::move(spec));
    if (options.method == AdapterMethod::kDora) specs.push_back({magnitude_name(module.path), {module.out}});
  }
  return specs;
}

void derive_lora(const AdaptedModule& module, const FrozenWeight& weight, const LoraOptions& options,
                 std::uint64_t seed, AdapterTensors& to) {
  if (module.kind == ModuleKind::kEmbedding) return;
  if (options.init == LoraInit::kPissa) derive_pissa(module, weight, options.pissa_niter, seed, to);
  if (options.init == LoraInit::kOlora) derive_olora(module, weight, to);
  if (options.method == AdapterMethod::kDora) to[magnitude_name(module.path)] = row_norms(weight);
}

std::shared_ptr<const LinearAdapter> make_lora(const AdaptedModule& module, const LoraOptions& options,
                                               const AdapterTensors& tensors) {
  if (module.mirrors) return std::make_shared<EmbeddingLoraOfHead>(module, tensors);
  LoraFactors factors = lora_factors(module, tensors);
  if (options.method == AdapterMethod::kLora)
    return std::make_shared<Lora>(std::move(factors), options.freeze_a);
  return std::make_shared<Dora>(std::move(factors), tensors.at(magnitude_name(module.path)),
                                options.freeze_a);
}

std::int64_t kept_of_lora(const AdaptedModule& module, const LoraOptions& options) {
  const std::int64_t ranks = module.r * (starts_from_weight(options) ? 2 : 1);
  if (options.method != AdapterMethod::kDora) return ranks;
  // The output; of dropout what was dropped and what was left.
  return ranks + module.out + (options.dropout > 0 ? 2 * module.in : 0);
}

void draw_of_vera(const AdapterLayout& layout, const LoraOptions& options, std::uint64_t /*seed*/,
                  AdapterTensors& to) {
  draw_vera(layout, options, to);
}
std::vector<TensorSpec> tensors_of_vera(const AdapterLayout& layout, const LoraOptions& /*options*/) {
  return vera_tensors(layout);
}
std::shared_ptr<const LinearAdapter> make_of_vera(const AdaptedModule& module, const LoraOptions& /*options*/,
                                                  const AdapterTensors& tensors) {
  return make_vera(module, tensors);
}
std::int64_t kept_of_vera(const AdaptedModule& module, const LoraOptions& /*options*/) { return module.r; }

std::vector<TensorSpec> tensors_of_ia3(const AdapterLayout& layout, const LoraOptions& options) {
  std::vector<TensorSpec> specs;
  for (const AdaptedModule& module : layout.adapted)
    for (TensorSpec& spec : ia3_tensors(module, options)) specs.push_back(std::move(spec));
  return specs;
}
void draw_of_ia3(const AdapterLayout& layout, const LoraOptions& options, std::uint64_t /*seed*/,
                 AdapterTensors& to) {
  draw_ia3(layout, options, to);
}
std::int64_t kept_of_ia3(const AdaptedModule& module, const LoraOptions& /*options*/) { return module.out; }

constexpr std::array kMethods = {
    Method{AdapterMethod::kLora, "lora", "LORA", tensors_of_lora, draw_lora, derive_lora, make_lora,
           kept_of_lora, read_lora_config, write_lora_config},
    Method{AdapterMethod::kDora, "dora", "LORA", tensors_of_lora, draw_lora, derive_lora, make_lora,
           kept_of_lora, read_lora_config, write_lora_config},
    Method{AdapterMethod::kVera, "vera", "VERA", tensors_of_vera, draw_of_vera, nullptr, make_of_vera,
           kept_of_vera, read_vera_config, write_vera_config},
    Method{AdapterMethod::kIa3, "ia3", "IA3", tensors_of_ia3, draw_of_ia3, nullptr, make_ia3, kept_of_ia3,
           read_ia3_config, write_ia3_config},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

const Method& method_of(const LoraOptions& options) {
  return *std::find_if(kMethods.begin(), kMethods.end(),
                       [&](const Method& row) { return row.method == options.method; });
}

bool starts_from_weight(const LoraOptions& options) {
  const bool factors = options.method == AdapterMethod::kLora || options.method == AdapterMethod::kDora;
  return factors && (options.init == LoraInit::kPissa || options.init == LoraInit::kOlora);
}

}  // namespace graft
