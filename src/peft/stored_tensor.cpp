#include "peft/stored_tensor.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

namespace graft {

at::Tensor StoredTensor::value() const {
  const at::NoGradGuard no_grad;
  if (parts.size() == 1) return parts.front().detach().contiguous();
  return at::cat(at::TensorList(parts), dim);
}

void StoredTensor::restore(const at::Tensor& value) const {
  const at::NoGradGuard no_grad;
  std::int64_t first = 0;
  for (const at::Tensor& part : parts) {
    part.detach().copy_(value.narrow(dim, first, part.size(dim)));
    first += part.size(dim);
  }
}

std::vector<Parameter> trained_parts(const std::vector<StoredTensor>& stored) {
  std::vector<Parameter> trained;
  for (const StoredTensor& tensor : stored)
    for (const at::Tensor& part : tensor.parts)
      if (part.requires_grad()) trained.push_back({tensor.name, part});
  return trained;
}

std::vector<Parameter> TrainedAdapter::parameters() const { return trained_parts(stored()); }

}  // namespace graft
