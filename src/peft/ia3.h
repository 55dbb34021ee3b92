#pragma once

#include "peft/layout.h"
#include "peft/linear_adapter.h"

namespace graft {

/// (IA)^3: y = l (W x + b), or y = W (l x) + b for feed-forward modules; the vector l, trained, starts at 1.
/// Source: Liu et al., "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context
/// Learning" (2022), section 3.3.
class Ia3 : public LinearAdapter {
 public:
  /// l [out,1], or [1,in] of a feed-forward module, as PEFT stores it.
  Ia3(std::string module, at::Tensor l, bool feedforward);

  std::optional<LoraTerm> term(const Linear& linear, at::ScalarType dtype) const override;
  at::Tensor forward(const LinearInput& input, const Linear& linear) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;
  at::Tensor merged_bias(const Linear& linear) const override;
  bool keeps_outputs() const override { return !feedforward_; }

 private:
  std::string module_;
  at::Tensor l_;
  bool feedforward_;
};

std::vector<TensorSpec> ia3_tensors(const AdaptedModule& module, const LoraOptions& options);
void draw_ia3(const AdapterLayout& layout, const LoraOptions& options, AdapterTensors& to);
std::shared_ptr<const LinearAdapter> make_ia3(const AdaptedModule& module, const LoraOptions& options,
                                              const AdapterTensors& tensors);

}  // namespace graft
