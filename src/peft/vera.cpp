#include "peft/vera.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "peft/lora.h"

namespace graft {
namespace {

constexpr double kInitialD = 0.1;  // PEFT's d_initial, the paper's table 6

std::string name_d(const std::string& module) { return module + ".vera_lambda_d"; }
std::string name_b(const std::string& module) { return module + ".vera_lambda_b"; }

struct SharedShape {
  std::int64_t r = 0, in = 0, out = 0;
};

SharedShape shared_shape(const AdapterLayout& layout) {
  SharedShape shape;
  for (const AdaptedModule& module : layout.adapted) {
    shape.r = module.r;
    shape.in = std::max(shape.in, module.in);
    shape.out = std::max(shape.out, module.out);
  }
  return shape;
}

at::Tensor uniform(at::IntArrayRef shape, at::Generator& generator) {
  const double bound = std::sqrt(6.0 / static_cast<double>(shape[1]));
  return at::empty(shape, at::kFloat).uniform_(-bound, bound, generator);
}

}  // namespace

Vera::Vera(std::string module, at::Tensor a, at::Tensor b, at::Tensor lambda_d, at::Tensor lambda_b)
    : module_(std::move(module)),
      a_(std::move(a)),
      b_(std::move(b)),
      lambda_d_(std::move(lambda_d)),
      lambda_b_(std::move(lambda_b)) {
  lambda_d_.set_requires_grad(true);
  lambda_b_.set_requires_grad(true);
}

std::optional<LoraTerm> Vera::term(const Linear& linear, at::ScalarType /*dtype*/) const {
  return LoraTerm{.weight = linear.weight,
                  .bias = linear.bias,
                  .a = a_ * lambda_d_.unsqueeze(1),
                  .b = b_ * lambda_b_.unsqueeze(1),
                  .module = module_key(linear.name)};
}

std::vector<StoredTensor> Vera::stored() const {
  return {{name_b(module_), {lambda_b_}}, {name_d(module_), {lambda_d_}}};
}

at::Tensor Vera::merge_into(const Linear& /*linear*/, const at::Tensor& rows, std::int64_t first) const {
  const std::int64_t count = rows.size(0);
  const at::Tensor b = b_.narrow(0, first, count) * lambda_b_.narrow(0, first, count).unsqueeze(1);
  return at::addmm(rows, b, a_ * lambda_d_.unsqueeze(1));
}

std::vector<TensorSpec> vera_tensors(const AdapterLayout& layout) {
  const SharedShape shared = shared_shape(layout);
  std::vector<TensorSpec> specs = {{kVeraA, {shared.r, shared.in}}, {kVeraB, {shared.out, shared.r}}};
  for (const AdaptedModule& module : layout.adapted) {
    specs.push_back({name_b(module.path), {module.out}});
    specs.push_back({name_d(module.path), {module.r}});
  }
  return specs;
}

void draw_vera_projections(const AdapterLayout& layout, std::int64_t prng_key, AdapterTensors& to) {
  at::Generator generator = at::detail::createCPUGenerator(static_cast<std::uint64_t>(prng_key));
  const SharedShape shared = shared_shape(layout);
  to[kVeraA] = uniform({shared.r, shared.in}, generator);
  to[kVeraB] = uniform({shared.out, shared.r}, generator);
}

void draw_vera(const AdapterLayout& layout, const LoraOptions& options, AdapterTensors& to) {
  draw_vera_projections(layout, options.projection_prng_key, to);
  for (const AdaptedModule& module : layout.adapted) {
    to[name_b(module.path)] = at::zeros({module.out}, at::kFloat);
    to[name_d(module.path)] = at::full({module.r}, kInitialD, at::kFloat);
  }
}

std::shared_ptr<const LinearAdapter> make_vera(const AdaptedModule& module, const AdapterTensors& tensors) {
  return std::make_shared<Vera>(module.path, tensors.at(kVeraA).narrow(1, 0, module.in),
                                tensors.at(kVeraB).narrow(0, 0, module.out), tensors.at(name_d(module.path)),
                                tensors.at(name_b(module.path)));
}

}  // namespace graft
