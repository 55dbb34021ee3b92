#pragma once

#include "base/random.h"
#include "peft/layout.h"
#include "peft/stored_tensor.h"

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

std::vector<TensorSpec> embedding_lora_tensors(const AdaptedModule& module);
/// A zero, B standard normal.
void draw_embedding_lora(RandomStream random, const AdaptedModule& module, AdapterTensors& to);

}  // namespace graft
