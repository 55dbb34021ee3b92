#include "peft/embedding_lora.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "peft/lora.h"

namespace graft {
namespace {

std::string name_a(const std::string& module) { return module + ".lora_embedding_A"; }
std::string name_b(const std::string& module) { return module + ".lora_embedding_B"; }

}  // namespace

EmbeddingLora::EmbeddingLora(const AdaptedModule& module, const AdapterTensors& tensors)
    : module_(module.path),
      a_(tensors.at(name_a(module.path))),
      b_(tensors.at(name_b(module.path))),
      scale_(module.scale) {
  a_.set_requires_grad(true);
  b_.set_requires_grad(true);
}

std::vector<at::Tensor> EmbeddingLora::forward(const LinearInput&, const std::vector<Linear>&, const Pass&,
                                               const LinearOutput&) const {
  fail(ExitCode::kInternal, module_, ": an embedding's adapter multiplies nothing");
}

at::Tensor EmbeddingLora::look_up(const FrozenWeight& embedding, const at::Tensor& ids) const {
  const at::Tensor rows = embedding.look_up(ids);
  const at::Tensor chosen = a_.t().index_select(0, ids);  // [T,R]
  return (rows.to(at::kFloat) + chosen.mm(b_.t()) * scale_).to(rows.scalar_type());
}

std::vector<StoredTensor> EmbeddingLora::stored() const {
  return {{name_a(module_), {a_}}, {name_b(module_), {b_}}};
}

at::Tensor EmbeddingLora::merge_into(const Linear& /*linear*/, const at::Tensor& rows,
                                     std::int64_t first) const {
  const at::NoGradGuard no_grad;
  return at::addmm(rows, a_.t().narrow(0, first, rows.size(0)), b_.t(), 1.0, scale_);
}

EmbeddingLoraOfHead::EmbeddingLoraOfHead(const AdaptedModule& head, const AdapterTensors& tensors)
    : module_(head.path),
      a_(tensors.at(name_a(kEmbeddingPath))),
      b_(tensors.at(name_b(kEmbeddingPath))),
      scale_(head.scale) {}

std::optional<LoraTerm> EmbeddingLoraOfHead::term(const Linear& linear, at::ScalarType /*dtype*/) const {
  return LoraTerm{.weight = linear.weight,
                  .bias = linear.bias,
                  .a = b_.t().contiguous(),
                  .b = a_.t().contiguous(),
                  .scale = scale_,
                  .module = module_key(linear.name)};
}

// Views of what the embedding trains: stored, and not trained twice.
std::vector<StoredTensor> EmbeddingLoraOfHead::stored() const {
  return {{module_ + ".lora_A.weight", {b_.detach().t()}}, {module_ + ".lora_B.weight", {a_.detach().t()}}};
}

at::Tensor EmbeddingLoraOfHead::merge_into(const Linear& /*linear*/, const at::Tensor& rows,
                                           std::int64_t first) const {
  return at::addmm(rows, a_.t().narrow(0, first, rows.size(0)), b_.t(), 1.0, scale_);
}

void mirror_embedding_lora(const AdaptedModule& head, AdapterTensors& to) {
  to[head.path + ".lora_A.weight"] = to.at(name_b(kEmbeddingPath)).t().contiguous();
  to[head.path + ".lora_B.weight"] = to.at(name_a(kEmbeddingPath)).t().contiguous();
}

std::vector<TensorSpec> embedding_lora_tensors(const AdaptedModule& module) {
  return {{name_a(module.path), {module.r, module.out}}, {name_b(module.path), {module.in, module.r}}};
}

void draw_embedding_lora(RandomStream random, const AdaptedModule& module, AdapterTensors& to) {
  const at::Tensor b = at::empty({module.in, module.r}, at::kFloat);
  std::generate_n(b.mutable_data_ptr<float>(), b.numel(),
                  [&] { return static_cast<float>(random.normal()); });
  to[name_a(module.path)] = at::zeros({module.r, module.out}, at::kFloat);
  to[name_b(module.path)] = b;
}

}  // namespace graft
