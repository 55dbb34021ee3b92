#include "export/weights.h"

#include <ATen/ATen.h>

#include "model/families.h"

namespace graft {
namespace {

ExportTensor matrix(std::string name, FrozenWeightPtr weight) {
  const std::vector<std::int64_t> shape = {weight->out_features(), weight->in_features()};
  return {std::move(name), shape,
          [weight](std::int64_t first, std::int64_t last) { return weight->rows(first, last); }};
}

ExportTensor vector(std::string name, const at::Tensor& values) {
  return {std::move(name), values.sizes().vec(), [values](std::int64_t first, std::int64_t last) {
            return values.slice(0, first, last).to(at::kFloat);
          }};
}

void add_group(std::vector<ExportTensor>& tensors, const LinearGroup& group) {
  for (const Linear& linear : group.linears) {
    ExportTensor weight = matrix(linear.name + ".weight", linear.weight);
    if (group.adapter) {
      weight.rows = [&linear, adapter = group.adapter](std::int64_t first, std::int64_t last) {
        return adapter->merge_into(linear, linear.weight->rows(first, last), first);
      };
    }
    tensors.push_back(std::move(weight));
    if (linear.bias.defined()) tensors.push_back(vector(linear.name + ".bias", linear.bias));
  }
}

}  // namespace

std::int64_t ExportTensor::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) count *= dim;
  return count;
}

std::vector<ExportTensor> export_tensors(const Decoder& model) {
  const Family& family = *find_family(model.config.architecture);
  std::vector<ExportTensor> tensors;
  tensors.push_back(matrix(hugging_face_name(family, "token_embd.weight")->name, model.embedding));
  for (const Block& block : model.blocks) {
    block.each_group([&](const LinearGroup& group) { add_group(tensors, group); });
    block.each_norm(
        [&](const RmsNorm& norm) { tensors.push_back(vector(norm.name + ".weight", norm.weight)); });
  }
  tensors.push_back(vector(model.norm.name + ".weight", model.norm.weight));
  if (!model.config.tie_word_embeddings)
    tensors.push_back(matrix(model.head.name + ".weight", model.head.weight));
  return tensors;
}

}  // namespace graft
