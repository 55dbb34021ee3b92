#include "export/weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "model/families.h"

namespace graft {
namespace {

ExportTensor matrix(std::string name, FrozenWeightPtr weight) {
  const std::vector<std::int64_t> shape = {weight->out_features(), weight->in_features()};
  return {std::move(name), shape,
          [weight](std::int64_t first, std::int64_t last) { return weight->rows(first, last); }};
}

/// The matrix with what `adapter`, if any, does to it.
ExportTensor merged(const Linear& linear, const std::string& name,
                    const std::shared_ptr<const Adapter>& adapter) {
  ExportTensor weight = matrix(name, linear.weight);
  if (adapter)
    weight.rows = [linear, adapter](std::int64_t first, std::int64_t last) {
      return adapter->merge_into(linear, linear.weight->rows(first, last), first);
    };
  return weight;
}

ExportTensor vector(std::string name, const at::Tensor& values) {
  return {std::move(name), values.sizes().vec(), [values](std::int64_t first, std::int64_t last) {
            return values.slice(0, first, last).to(at::kFloat);
          }};
}

void add_group(std::vector<ExportTensor>& tensors, const LinearGroup& group) {
  for (const Linear& linear : group.linears) {
    tensors.push_back(merged(linear, linear.name + ".weight", group.adapter));
    const at::Tensor bias = group.adapter ? group.adapter->merged_bias(linear) : linear.bias;
    if (bias.defined()) tensors.push_back(vector(linear.name + ".bias", bias));
  }
}

}  // namespace

std::int64_t ExportTensor::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) count *= dim;
  return count;
}

namespace {

ExportTensor embedding_of(const Decoder& model) {
  const Family& family = *find_family(model.config.architecture);
  const std::string name = hugging_face_name(family, "token_embd.weight")->name;
  return merged({.name = name.substr(0, name.rfind('.')), .weight = model.embedding, .bias = {}}, name,
                model.embedding_adapter);
}

ExportTensor head_of(const Decoder& model) {
  return merged(model.head, model.head.name + ".weight", model.head_adapter);
}

}  // namespace

bool exports_tied(const Decoder& model) {
  if (!model.config.tie_word_embeddings) return false;
  if (!model.embedding_adapter && !model.head_adapter) return true;
  constexpr std::int64_t kRows = 4096;
  const ExportTensor embedding = embedding_of(model), head = head_of(model);
  for (std::int64_t first = 0; first < head.shape[0]; first += kRows) {
    const std::int64_t last = std::min(head.shape[0], first + kRows);
    if (!at::equal(embedding.rows(first, last), head.rows(first, last))) return false;
  }
  return true;
}

std::vector<ExportTensor> export_tensors(const Decoder& model) {
  std::vector<ExportTensor> tensors;
  tensors.push_back(embedding_of(model));
  const auto add_norm = [&](const RmsNorm& norm) {
    tensors.push_back(
        vector(norm.name + ".weight", norm.trained.defined() ? norm.trained.detach() : norm.weight));
  };
  for (const Block& block : model.blocks) {
    block.each_group([&](const LinearGroup& group) { add_group(tensors, group); });
    block.each_norm(add_norm);
  }
  add_norm(model.norm);
  if (!exports_tied(model)) tensors.push_back(head_of(model));
  return tensors;
}

}  // namespace graft
