#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/frozen_weight.h"
#include "ops/layout.h"

namespace graft {

/// Whether the backward may write gradients into the memory of gate and up.
enum class GateMemory { kFree, kKept };

/// What the linears of a group read: x itself, or what is cheap to make of x and is made again in the
/// backward instead of being kept.
struct LinearInput {
  /// x [T,in]
  LinearInput(at::Tensor input) : x(std::move(input)) {}  // NOLINT: a tensor is the plain case of an input
  /// rms_norm(x, weight, eps); x [T,in], weight [in]
  static LinearInput normed(at::Tensor x, at::Tensor weight, double eps);
  /// swiglu(gate, up), [T,in] each. `made`: the same, where lora_linear has already made it; else undefined.
  static LinearInput gated(at::Tensor gate, at::Tensor up, at::Tensor made,
                           GateMemory memory = GateMemory::kFree);

  /// The input as a tensor [T,in], differentiable in what it is made of.
  at::Tensor value() const;

  at::Tensor x;            ///< [T,in]; the gate where `up` is defined
  at::Tensor up;           ///< [T,in] or undefined
  at::Tensor norm_weight;  ///< [in] or undefined
  double norm_eps = 0;
  at::Tensor made;  ///< [T,in] or undefined; not differentiated
  GateMemory memory = GateMemory::kFree;
};

/// What is done to the outputs while they are written.
struct LinearOutput {
  at::Tensor residual{};  ///< [T,out] added to the output of a group of one; or undefined
  bool gated = false;     ///< a group of two also gives swiglu(y0, y1), for LinearInput::gated

  /// The same done to finished outputs, differentiable in them: for an adapter that is not a sum of products.
  std::vector<at::Tensor> applied_to(std::vector<at::Tensor> ys) const;
};

/// x [T,in] -> x W^T + bias [T,out]. bias [out] or undefined. Differentiable in x only: dx = dy W.
at::Tensor linear(const at::Tensor& x, const FrozenWeightPtr& weight, const at::Tensor& bias);

/// One linear of a group that shares its input, with its low-rank addition or without.
struct LoraTerm {
  FrozenWeightPtr weight{};
  at::Tensor bias{};  ///< [out] or undefined
  at::Tensor a{};     ///< [R,in] fp32, or undefined: a frozen linear alone
  at::Tensor b{};     ///< [out,R] fp32
  double scale = 1.0;
  std::uint64_t module = 0;  ///< key of the module's dropout mask
  at::Tensor gain{};         ///< [out] fp32, or undefined: 1
};

/// The dropout of one pass over one pack.
struct LoraDropout {
  double probability = 0.0;
  DropoutKey key;
  PackLayout layout;
};

/// ys[i] [T,out_i] = h W_i^T + bias_i + scale_i * drop_i(h) A_i^T B_i^T for linears that share an input h;
/// then as `output` says: + residual, and behind them swiglu(ys[0], ys[1]), which carries no gradient itself.
/// With a gain, ys[i] is the sum of the products times gain_i; such a term has neither bias nor residual, and
/// its output is kept for the gradient of the gain, so nobody may overwrite it (where the gain of a column is
/// 0, that gradient is 0 too).
/// A and scale * B are rounded to h's type for the products, as are h A^T and dy B. In bf16 a sum of
/// products, bias and residual is rounded once, where Hugging Face rounds each part; gradients of a and b are
/// fp32 sums. Differentiable in what h is made of, residual, a, b and gain; never forms dW or B A. With
/// dropout, each term has its own mask, scaled by 1/(1-p). Source: Hu et al., "LoRA" (2021), eq. 3; products
/// ordered as in RunLoRA (dA = (dy B)^T x, dB = dy^T (x A^T)).
std::vector<at::Tensor> lora_linear(const LinearInput& input, const std::vector<LoraTerm>& terms,
                                    const std::optional<LoraDropout>& dropout,
                                    const LinearOutput& output = {});

}  // namespace graft
