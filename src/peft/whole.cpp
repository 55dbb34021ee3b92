#include "peft/whole.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/error.h"

namespace graft {
namespace {

std::string weight_name(const std::string& module) { return module + ".weight"; }
std::string bias_name(const std::string& module) { return module + ".bias"; }

}  // namespace

WholeLinear::WholeLinear(std::string module, at::Tensor weight, at::Tensor bias)
    : module_(std::move(module)), weight_(std::move(weight)), bias_(std::move(bias)) {
  weight_.set_requires_grad(true);
  if (bias_.defined()) bias_.set_requires_grad(true);
}

at::Tensor WholeLinear::forward(const LinearInput& input, const Linear& /*linear*/) const {
  const at::Tensor x = input.value();
  const auto rounded = [&](const at::Tensor& t) { return t.defined() ? t.to(x.scalar_type()) : t; };
  return at::linear(x, rounded(weight_), rounded(bias_));
}

std::vector<StoredTensor> WholeLinear::stored() const {
  std::vector<StoredTensor> all = {{weight_name(module_), {weight_}}};
  if (bias_.defined()) all.push_back({bias_name(module_), {bias_}});
  return all;
}

at::Tensor WholeLinear::merge_into(const Linear& /*linear*/, const at::Tensor& rows,
                                   std::int64_t first) const {
  return weight_.narrow(0, first, rows.size(0));
}

at::Tensor WholeLinear::merged_bias(const Linear& /*linear*/) const { return bias_; }

std::vector<StoredTensor> WholeTiedHead::stored() const {
  std::vector<StoredTensor> all = WholeLinear::stored();
  all.front().parts = {all.front().parts.front().detach()};
  return all;
}

WholeEmbedding::WholeEmbedding(std::string module, at::Tensor weight)
    : module_(std::move(module)), weight_(std::move(weight)) {
  weight_.set_requires_grad(true);
}

std::vector<at::Tensor> WholeEmbedding::forward(const LinearInput&, const std::vector<Linear>&, const Pass&,
                                                const LinearOutput&) const {
  fail(ExitCode::kInternal, module_, ": an embedding's adapter multiplies nothing");
}

at::Tensor WholeEmbedding::look_up(const FrozenWeight& embedding, const at::Tensor& ids) const {
  return weight_.index_select(0, ids).to(embedding.look_up(ids.narrow(0, 0, 1)).scalar_type());
}

std::vector<StoredTensor> WholeEmbedding::stored() const { return {{weight_name(module_), {weight_}}}; }

at::Tensor WholeEmbedding::merge_into(const Linear& /*linear*/, const at::Tensor& rows,
                                      std::int64_t first) const {
  return weight_.detach().narrow(0, first, rows.size(0));
}

std::vector<TensorSpec> whole_tensors(const ModuleView& module) {
  std::vector<TensorSpec> specs = {{weight_name(module.path), module.shape}};
  if (module.has_bias) specs.push_back({bias_name(module.path), {module.shape[0]}});
  return specs;
}

}  // namespace graft
