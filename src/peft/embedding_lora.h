#pragma once

#include "base/random.h"
#include "peft/layout.h"
#include "peft/linear_adapter.h"

namespace graft {

/// LoRA of the embedding: row t of E + s (B A)^T, A [R,V], B [D,R]; of a tied base the head stays as it is.
/// Source: lora.Embedding of huggingface/peft.
class EmbeddingLora : public TrainedAdapter {
 public:
  EmbeddingLora(const AdaptedModule& module, const AdapterTensors& tensors);

  std::vector<at::Tensor> forward(const LinearInput& input, const std::vector<Linear>& group,
                                  const Pass& pass, const LinearOutput& output) const override;
  at::Tensor look_up(const FrozenWeight& embedding, const at::Tensor& ids) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;

 private:
  std::string module_;
  at::Tensor a_, b_;
  double scale_;
};

/// The same adapter on the head of a tied base (ensure_weight_tying): W x + s (B A)^T drop(x), with the
/// embedding's own A and B, whose gradients are the sums of both. Its file holds them transposed once more,
/// as those of a linear; PEFT trains the two copies with an optimizer state each.
class EmbeddingLoraOfHead : public LinearAdapter {
 public:
  /// `head`: the head as it is adapted.
  EmbeddingLoraOfHead(const AdaptedModule& head, const AdapterTensors& tensors);

  std::optional<LoraTerm> term(const Linear& linear, at::ScalarType dtype) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;

 private:
  std::string module_;
  at::Tensor a_, b_;  // [R,V], [D,R]: the embedding's
  double scale_;
};

/// Sets the head's factors to the embedding's, transposed.
void mirror_embedding_lora(const AdaptedModule& head, AdapterTensors& to);

std::vector<TensorSpec> embedding_lora_tensors(const AdaptedModule& module);
/// A zero, B standard normal.
void draw_embedding_lora(RandomStream random, const AdaptedModule& module, AdapterTensors& to);

}  // namespace graft
