#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/adapter.h"

namespace graft {

/// Tensors of an adapter by name: PEFT's key without the "base_model.model." in front (without "base_model."
/// where all modules share the tensor).
using AdapterTensors = std::map<std::string, at::Tensor>;

/// A name and a shape that a file must hold.
struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// A tensor of an adapter's file: fp32 parts side by side along `dim`. Those that require grad are trained.
struct StoredTensor {
  std::string name;
  std::vector<at::Tensor> parts;
  std::int64_t dim = 0;

  /// As the file has it, without autograd.
  at::Tensor value() const;
  /// Copies a tensor of value()'s shape into the parts, bit for bit.
  void restore(const at::Tensor& value) const;
};

/// An adapter that knows what its file holds.
class TrainedAdapter : public Adapter {
 public:
  virtual std::vector<StoredTensor> stored() const = 0;
  /// The trained parts of what is stored, in its order.
  std::vector<Parameter> parameters() const override;
};

/// The trained parts among these, named as their tensors.
std::vector<Parameter> trained_parts(const std::vector<StoredTensor>& stored);

}  // namespace graft
