#include "peft/lora.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/random.h"
#include "peft/embedding_lora.h"

namespace graft {
namespace {

constexpr char kInitKey[] = "lora init";
constexpr double kOrthogonalScale = 0.1;

std::string b_bias_name(const std::string& module) { return module + ".lora_B.bias"; }

template <class Draw>
at::Tensor filled(at::IntArrayRef shape, const Draw& draw) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  std::generate_n(tensor.mutable_data_ptr<float>(), tensor.numel(),
                  [&] { return static_cast<float>(draw()); });
  return tensor;
}

at::Tensor normal(RandomStream& random, at::IntArrayRef shape, double deviation) {
  return filled(shape, [&] { return random.normal() * deviation; });
}

void draw_orthogonal(RandomStream& random, const AdaptedModule& module, at::Tensor& a, at::Tensor& b) {
  const std::int64_t r = module.r;
  const at::Tensor q = std::get<0>(at::linalg_qr(normal(random, {r, r}, 1.0)));
  const at::Tensor odd = q.slice(0, 0, r, 2), even = q.slice(0, 1, r, 2);
  a = (normal(random, {module.in, r / 2}, 1.0).mm(odd).t() * kOrthogonalScale).contiguous();
  b = (normal(random, {r / 2, module.out}, 1.0).t().mm(even) * kOrthogonalScale).contiguous();
}

void draw_linear(RandomStream random, const AdaptedModule& module, const LoraOptions& options,
                 AdapterTensors& to) {
  at::Tensor a, b = at::zeros({module.out, module.r}, at::kFloat);
  const double root = std::sqrt(static_cast<double>(module.in));
  if (options.init == LoraInit::kOrthogonal)
    draw_orthogonal(random, module, a, b);
  else if (options.init == LoraInit::kGaussian)
    a = normal(random, {module.r, module.in}, 1.0 / static_cast<double>(module.r));
  else
    a = filled({module.r, module.in}, [&] { return (2.0 * random.uniform() - 1.0) / root; });
  if (module.b_bias) to[b_bias_name(module.path)] = at::zeros({module.out}, at::kFloat);
  to[module.path + ".lora_A.weight"] = a;
  to[module.path + ".lora_B.weight"] = b;
}

}  // namespace

std::uint64_t module_key(const std::string& path) { return hash_name(path.data(), path.size()); }
std::string start_name_a(const std::string& module) { return module + ".lora_A.start"; }
std::string start_name_b(const std::string& module) { return module + ".lora_B.start"; }

void draw_lora(const AdapterLayout& layout, const LoraOptions& options, std::uint64_t seed,
               AdapterTensors& to) {
  const std::uint64_t key = mix(seed, module_key(kInitKey));
  for (const AdaptedModule& module : layout.adapted) {
    const RandomStream random(mix(key, module_key(module.path)));
    if (module.kind == ModuleKind::kEmbedding)
      draw_embedding_lora(random, module, to);
    else if (module.mirrors)
      mirror_embedding_lora(module, to);
    else
      draw_linear(random, module, options, to);
  }
}

std::vector<TensorSpec> lora_tensors(const AdaptedModule& module) {
  if (module.kind == ModuleKind::kEmbedding) return embedding_lora_tensors(module);
  std::vector<TensorSpec> specs = {{module.path + ".lora_A.weight", {module.r, module.in}},
                                   {module.path + ".lora_B.weight", {module.out, module.r}}};
  if (module.b_bias) specs.push_back({b_bias_name(module.path), {module.out}});
  return specs;
}

LoraFactors lora_factors(const AdaptedModule& module, const AdapterTensors& tensors) {
  LoraFactors factors{.module = module.path,
                      .a = tensors.at(module.path + ".lora_A.weight"),
                      .b = tensors.at(module.path + ".lora_B.weight"),
                      .scale = module.scale};
  if (module.b_bias) factors.b_bias = tensors.at(b_bias_name(module.path));
  if (const auto start = tensors.find(start_name_a(module.path)); start != tensors.end()) {
    factors.start_a = start->second;
    factors.minus_start_b = tensors.at(start_name_b(module.path));
  }
  return factors;
}

Lora::Lora(LoraFactors factors, bool freeze_a) : factors_(std::move(factors)) {
  factors_.a.set_requires_grad(!freeze_a);
  factors_.b.set_requires_grad(true);
  if (factors_.b_bias.defined()) factors_.b_bias.set_requires_grad(true);
}

at::Tensor Lora::bias_with(const at::Tensor& own) const {
  if (!factors_.b_bias.defined()) return own;
  const at::Tensor more = factors_.b_bias * factors_.scale;
  return own.defined() ? own.to(at::kFloat) + more : more;
}

at::Tensor Lora::a() const {
  const auto& [a, start] = std::pair(factors_.a, factors_.start_a);
  return start.defined() ? at::cat({a - start, start}) : a;
}

at::Tensor Lora::b() const {
  const auto& [b, minus_start] = std::pair(factors_.b, factors_.minus_start_b);
  return minus_start.defined() ? at::cat({b, b + minus_start}, 1) : b;
}

std::int64_t Lora::factors_version() const {
  return static_cast<std::int64_t>(factors_.a._version()) + static_cast<std::int64_t>(factors_.b._version());
}

std::optional<LoraTerm> Lora::term(const Linear& linear, at::ScalarType /*dtype*/) const {
  return LoraTerm{.weight = linear.weight,
                  .bias = bias_with(linear.bias),
                  .a = a(),
                  .b = b(),
                  .scale = factors_.scale,
                  .module = module_key(linear.name)};
}

std::vector<StoredTensor> Lora::stored() const {
  std::vector<StoredTensor> both = {{module() + ".lora_A.weight", {factors_.a}, 0},
                                    {module() + ".lora_B.weight", {factors_.b}, 1}};
  if (factors_.start_a.defined()) {
    both[0].parts.push_back(factors_.start_a);
    both[1].parts.push_back(factors_.minus_start_b);
  }
  if (factors_.b_bias.defined()) both.push_back({b_bias_name(module()), {factors_.b_bias}});
  return both;
}

at::Tensor Lora::merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const {
  check_bias_merges(linear);
  return at::addmm(rows, b().narrow(0, first, rows.size(0)), a(), 1.0, factors_.scale);
}

void Lora::check_bias_merges(const Linear& linear) const {
  check(linear.bias.defined() || !factors_.b_bias.defined(), linear.name,
        ": a bias on B (lora_bias) cannot be merged: the base has no bias here",
        Hint{"keep the adapter apart"});
}

at::Tensor Lora::merged_bias(const Linear& linear) const {
  check_bias_merges(linear);
  return bias_with(linear.bias);
}

}  // namespace graft
