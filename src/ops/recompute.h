#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace graft {

/// f(x), keeping only x: the backward runs f again and differentiates that ("full" activation checkpointing).
/// Parameters that f uses receive their gradients. f must be a pure function of x and them.
/// Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost" (2016).
at::Tensor recompute(const std::function<at::Tensor(const at::Tensor&)>& f, const at::Tensor& x);

}  // namespace graft
