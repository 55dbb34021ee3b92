#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "ops/linear.h"

namespace graft {

/// x [T,in] -> x with the elements that the module's mask drops set to 0 and the others times 1/(1-p). No
/// autograd: the masks of forward, backward and recomputation are the same function. Element (t, c) of
/// example `id` at position p in it is dropped where word c%4 of philox({p, c/4, low(id), high(id)},
/// mix(mix(seed, epoch), module)) is below probability * 2^32.
at::Tensor drop(const at::Tensor& x, const LoraDropout& dropout, std::uint64_t module);

/// The same, differentiable in x.
at::Tensor dropped(const at::Tensor& x, const LoraDropout& dropout, std::uint64_t module);

}  // namespace graft
