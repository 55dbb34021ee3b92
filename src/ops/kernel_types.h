#pragma once

#include <ATen/core/Tensor.h>

#include "base/error.h"
#include "kernels/cpu/row_kernels.h"

namespace graft {

/// Calls body(T{}) with the kernels' type of a tensor type: float, Bf16 or double.
template <class Body>
void with_kernel_type(at::ScalarType dtype, const Body& body) {
  switch (dtype) {
    case at::kFloat:
      return body(float{});
    case at::kBFloat16:
      return body(Bf16{});
    case at::kDouble:
      return body(double{});
    default:
      fail(ExitCode::kInternal, "no kernels for tensors of type ", c10::toString(dtype));
  }
}

/// The type of sums, statistics and losses over tensors of a type: SumOf<T>.
inline at::ScalarType sum_type(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

/// A contiguous tensor's numbers.
template <class T>
const T* read_from(const at::Tensor& t) {
  return static_cast<const T*>(t.const_data_ptr());
}
template <class T>
T* write_to(const at::Tensor& t) {
  return static_cast<T*>(t.mutable_data_ptr());
}

}  // namespace graft
