#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "peft/stored_tensor.h"

namespace graft {

/// What an adapter does to one linear. A method is a class of these.
class LinearAdapter {
 public:
  virtual ~LinearAdapter() = default;
  /// The linear with its addition as a term of lora_linear, or nothing where it is no such sum: then forward
  /// is called. Its bias may be differentiable, also beside a gain: it is added behind the products. `dtype`:
  /// what is computed in.
  virtual std::optional<LoraTerm> term(const Linear& linear, at::ScalarType dtype) const;
  /// Output of the linear [T,out].
  virtual at::Tensor forward(const LinearInput& input, const Linear& linear) const;
  virtual std::vector<StoredTensor> stored() const = 0;
  /// As Adapter's.
  virtual at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const = 0;
  virtual at::Tensor merged_bias(const Linear& linear) const { return linear.bias; }
  virtual bool keeps_outputs() const { return false; }
};

/// What is trained of one linear of a group.
struct LinearSlot {
  std::string module;                            ///< path of the linear
  std::shared_ptr<const LinearAdapter> adapter;  ///< or none: the weight stays as it is
  std::string bias_name;
  at::Tensor bias{};  ///< [out] fp32, trained in the place of the linear's own; or undefined
};

/// The adapters of the linears that share one input: as many as are sums of products go through one
/// lora_linear.
class GroupAdapter : public TrainedAdapter {
 public:
  /// One slot per linear of the group, in its order. dropout: [0, 1), on the adapters' input.
  GroupAdapter(std::vector<LinearSlot> slots, double dropout);

  std::vector<at::Tensor> forward(const LinearInput& input, const std::vector<Linear>& group,
                                  const Pass& pass, const LinearOutput& output = {}) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;
  at::Tensor merged_bias(const Linear& linear) const override;
  bool keeps_outputs() const override;

 private:
  const LinearSlot* find(const Linear& linear) const;
  /// The linear with the bias that is trained of it.
  static Linear with_bias(const Linear& linear, const LinearSlot& slot);

  std::vector<LinearSlot> slots_;
  double dropout_;
};

}  // namespace graft
