#pragma once

#include "peft/layout.h"
#include "peft/linear_adapter.h"

namespace graft {

/// A linear or the head trained whole (modules_to_save): y = W' x + b', fp32 copies of the base's as they
/// were.
class WholeLinear : public LinearAdapter {
 public:
  /// weight [out,in], bias [out] or undefined
  WholeLinear(std::string module, at::Tensor weight, at::Tensor bias);

  at::Tensor forward(const LinearInput& input, const Linear& linear) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;
  at::Tensor merged_bias(const Linear& linear) const override;

 private:
  std::string module_;
  at::Tensor weight_, bias_;
};

/// The head of a tied base whose embedding is trained whole (ensure_weight_tying): the same matrix, stored a
/// second time and trained once.
class WholeTiedHead : public WholeLinear {
 public:
  using WholeLinear::WholeLinear;
  std::vector<StoredTensor> stored() const override;
};

/// The embedding trained whole; of a tied base the head stays as it is.
class WholeEmbedding : public TrainedAdapter {
 public:
  /// weight [V,D]
  WholeEmbedding(std::string module, at::Tensor weight);

  std::vector<at::Tensor> forward(const LinearInput& input, const std::vector<Linear>& group,
                                  const Pass& pass, const LinearOutput& output) const override;
  at::Tensor look_up(const FrozenWeight& embedding, const at::Tensor& ids) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;

 private:
  std::string module_;
  at::Tensor weight_;
};

/// Names and shapes of a module's weight and bias.
std::vector<TensorSpec> whole_tensors(const ModuleView& module);

}  // namespace graft
