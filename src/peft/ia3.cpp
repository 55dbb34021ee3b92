#include "peft/ia3.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "peft/target_modules.h"

namespace graft {
namespace {

std::string name_of(const std::string& module) { return module + ".ia3_l"; }

bool is_feedforward(const AdaptedModule& module, const LoraOptions& options) {
  return std::any_of(options.feedforward_modules.begin(), options.feedforward_modules.end(),
                     [&](const std::string& name) { return ends_with_name(module.path, name); });
}

}  // namespace

Ia3::Ia3(std::string module, at::Tensor l, bool feedforward)
    : module_(std::move(module)), l_(std::move(l)), feedforward_(feedforward) {
  l_.set_requires_grad(true);
}

std::optional<LoraTerm> Ia3::term(const Linear& linear, at::ScalarType /*dtype*/) const {
  if (feedforward_) return std::nullopt;
  const at::Tensor l = l_.flatten();
  LoraTerm term{.weight = linear.weight, .bias = linear.bias, .gain = l};
  if (linear.bias.defined()) term.bias = linear.bias.to(at::kFloat) * l;
  return term;
}

at::Tensor Ia3::forward(const LinearInput& input, const Linear& linear) const {
  const at::Tensor x = input.value();
  const at::Tensor scaled = (x * l_).to(x.scalar_type());
  if (!linear.bias.defined() || !linear.bias.requires_grad())
    return graft::linear(scaled, linear.weight, linear.bias);
  return graft::linear(scaled, linear.weight, {}) + linear.bias.to(x.scalar_type());
}

std::vector<StoredTensor> Ia3::stored() const { return {{name_of(module_), {l_}}}; }

at::Tensor Ia3::merge_into(const Linear& /*linear*/, const at::Tensor& rows, std::int64_t first) const {
  return rows * (feedforward_ ? l_ : l_.narrow(0, first, rows.size(0)));
}

at::Tensor Ia3::merged_bias(const Linear& linear) const {
  if (feedforward_ || !linear.bias.defined()) return linear.bias;
  return linear.bias.to(at::kFloat) * l_.flatten();
}

std::vector<TensorSpec> ia3_tensors(const AdaptedModule& module, const LoraOptions& options) {
  if (is_feedforward(module, options)) return {{name_of(module.path), {1, module.in}}};
  return {{name_of(module.path), {module.out, 1}}};
}

void draw_ia3(const AdapterLayout& layout, const LoraOptions& options, AdapterTensors& to) {
  for (const AdaptedModule& module : layout.adapted)
    for (const TensorSpec& spec : ia3_tensors(module, options))
      to[spec.name] = at::ones(spec.shape, at::kFloat);
}

std::shared_ptr<const LinearAdapter> make_ia3(const AdaptedModule& module, const LoraOptions& options,
                                              const AdapterTensors& tensors) {
  return std::make_shared<Ia3>(module.path, tensors.at(name_of(module.path)),
                               is_feedforward(module, options));
}

}  // namespace graft
