#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace graft {

/// Gradients of y = z * gain, column by column: dy, y [T,out], gain [out] fp32 (fp64) -> dz [T,out] in dy's
/// type, dgain [out] in gain's: sum over tokens of dy y / gain, 0 where gain is 0. No autograd; sums do not
/// depend on the number of threads.
std::pair<at::Tensor, at::Tensor> gain_gradients(const at::Tensor& dy, const at::Tensor& y,
                                                 const at::Tensor& gain);

}  // namespace graft
