#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <string>
#include <vector>

#include "store/tensor_view.h"

namespace graft {

/// values fp32 [N,in] or [N], in a multiple of the block -> their bytes as `dtype` (one that can_encode
/// takes), rows one after the other, on all threads. Errors (kNumerics), naming `tensor`: a value that is not
/// finite, or too large for the fp16 numbers of the type.
std::vector<std::byte> encode_rows(const at::Tensor& values, DType dtype, const std::string& tensor);

/// values fp32 [N,in] -> rows first … first + N - 1 of `stored`, of a type that has_grid takes, moved onto
/// them: scales stay, and a change smaller than a step survives on average (round_on_grid). The same bytes
/// however the rows are cut. Errors: as encode_rows.
std::vector<std::byte> round_rows(const at::Tensor& values, const TensorView& stored, std::int64_t first,
                                  const std::string& tensor);

}  // namespace graft
