#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <vector>

namespace graft::testing {

using Tensors = std::vector<at::Tensor>;
using Op = std::function<at::Tensor(const Tensors&)>;

/// Central differences in fp64 lose about half the digits: h^2 of truncation against eps/h of rounding, h =
/// 1e-5.
constexpr double kFiniteDifferenceTolerance = 1e-7;

inline at::Tensor random(at::IntArrayRef shape, at::ScalarType dtype = at::kDouble) {
  return at::randn(shape, at::TensorOptions().dtype(at::kDouble)).to(dtype);
}

/// |a - b| / |b|, over whole tensors, in fp64.
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const auto wide = b.to(at::kDouble);
  return ((a.to(at::kDouble) - wide).norm() / (wide.norm() + 1e-30)).item<double>();
}

/// The gradients of sum(op(inputs) * dy); undefined where an input gets none.
inline Tensors gradients(const Op& op, const Tensors& inputs, const at::Tensor& dy) {
  Tensors leaves;
  for (const auto& input : inputs) leaves.push_back(input.detach().clone().set_requires_grad(true));
  torch::autograd::backward({op(leaves)}, {dy});
  Tensors result;
  for (const auto& leaf : leaves) result.push_back(leaf.grad());
  return result;
}

/// Every element of every fp64 input: the op's gradient against the central difference.
inline void expect_finite_differences(const Op& op, const Tensors& inputs) {
  constexpr double kStep = 1e-5;
  const at::NoGradGuard outside;
  const auto dy = random(op(inputs).sizes());
  Tensors got;
  {
    const at::AutoGradMode differentiate(true);
    got = gradients(op, inputs, dy);
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(got[i].defined()) << "input " << i << " gets no gradient";
    const auto want = at::empty_like(inputs[i], at::MemoryFormat::Contiguous);
    for (std::int64_t j = 0; j < inputs[i].numel(); ++j) {
      double value[2];
      for (const int side : {0, 1}) {
        auto moved = inputs;
        moved[i] = inputs[i].clone();
        moved[i].view(-1)[j].add_(side == 0 ? -kStep : kStep);
        value[side] = (op(moved) * dy).sum().item<double>();
      }
      want.view(-1)[j].fill_((value[1] - value[0]) / (2 * kStep));
    }
    EXPECT_LT(relative_difference(got[i], want), kFiniteDifferenceTolerance) << "input " << i;
  }
}

}  // namespace graft::testing
