#pragma once

#include <torch/csrc/autograd/custom_function.h>

#include <optional>
#include <vector>

#include "ops/linear.h"

/// The arithmetic of lora_linear without autograd, in two forms that agree within rounding: from libtorch's
/// operations, for every type and machine; and from sums of bf16 products, where these suit.
namespace graft {

using torch::autograd::variable_list;

/// What a group of linears does, without the tensors that autograd keeps.
struct LinearGroupWork {
  std::vector<LoraTerm> terms;         ///< a, b and gain undefined: they are saved variables
  std::vector<std::size_t> adapted{};  ///< indices of the terms that have a and b
  std::optional<LoraDropout> dropout{};
  at::Tensor norm_weight;  ///< of the input, [in] or undefined
  double norm_eps = 0;
  bool gated = false;
  std::vector<std::size_t> gained{};  ///< indices of the terms that have a gain
  GateMemory gate_memory = GateMemory::kFree;

  const LoraTerm& adapted_term(std::size_t i) const { return terms[adapted[i]]; }
};

/// a [R,in] and b [out,R] of the adapted terms, gains [out] of the gained ones: fp32 masters (fp64 in tests).
struct LoraFactorLists {
  variable_list a, b, gains{};

  /// The gain of every term, undefined where it has none.
  variable_list gain_of_terms(const LinearGroupWork& group) const;
};

struct LinearGroupValues {
  variable_list ys;  ///< [T,out] each
  at::Tensor gated;  ///< swiglu(ys[0], ys[1]) where wanted
  at::Tensor xa;     ///< h A^T of the adapted terms as the form's backward reads it; undefined without any
};

/// What the input was made of, as the backward finds it.
struct LinearInputParts {
  at::Tensor x, up;
};

/// The input of the linears, and what the gradient of its norm needs.
struct LinearInputValues {
  at::Tensor h, rstd;
};

/// What the backward is asked for.
struct LinearGradientsWanted {
  bool input = false, a = false, b = false;
};
struct LinearGroupGradients {
  at::Tensor x, up;    ///< undefined where not wanted
  variable_list a, b;  ///< per adapted term, fp32; undefined where dy is
};

/// Whether the group's products go tile by tile.
bool suits_fused(const LinearGroupWork& group, const at::Tensor& h);

LinearGroupValues fused_forward(const LinearGroupWork& group, const at::Tensor& h,
                                const LoraFactorLists& factors, const at::Tensor& residual);
LinearGroupValues plain_forward(const LinearGroupWork& group, const at::Tensor& h,
                                const LoraFactorLists& factors, const at::Tensor& residual);

/// dys: per term, undefined counts as 0; at least one is defined.
LinearGroupGradients fused_backward(const LinearGroupWork& group, const LinearInputParts& input,
                                    const at::Tensor& xa, const LoraFactorLists& factors,
                                    const variable_list& dys, LinearGradientsWanted wanted);
LinearGroupGradients plain_backward(const LinearGroupWork& group, const LinearInputParts& input,
                                    const at::Tensor& xa, const LoraFactorLists& factors,
                                    const variable_list& dys, LinearGradientsWanted wanted);

LinearInputValues input_values(const LinearGroupWork& group, const LinearInputParts& parts);
/// The gradients of an input's parts from its own.
void spread_gradient(const LinearGroupWork& group, const LinearInputParts& parts, const at::Tensor& rstd,
                     const at::Tensor& dh, LinearGroupGradients& to);

}  // namespace graft
