#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/pass.h"
#include "ops/frozen_weight.h"
#include "ops/linear.h"

namespace graft {

/// A linear of the frozen network. Its name is the path of the Hugging Face module whatever file it came
/// from.
struct Linear {
  std::string name;  ///< "model.layers.0.self_attn.q_proj"
  FrozenWeightPtr weight;
  at::Tensor bias;  ///< [out] or undefined
};

/// A trained tensor. Name: PEFT's key without the "base_model.model." in front.
struct Parameter {
  std::string name;
  at::Tensor value;  ///< fp32 master, requires grad
};

/// A trainable addition to the linears that share one input (q k v; gate up; or one alone), or to the
/// embedding. Declared here, implemented in peft: a family never names a method, a method never names a
/// family.
class Adapter {
 public:
  virtual ~Adapter() = default;
  /// h [T,in] -> per linear of the group, its output with the addition [T,out], and what `output` asks for
  /// besides. Differentiable in what the input is made of, the residual and parameters().
  virtual std::vector<at::Tensor> forward(const LinearInput& input, const std::vector<Linear>& group,
                                          const Pass& pass, const LinearOutput& output = {}) const = 0;
  /// ids int64 [T] -> their rows of the embedding with the addition [T,D], in the embedding's compute type.
  /// Differentiable in parameters().
  virtual at::Tensor look_up(const FrozenWeight& embedding, const at::Tensor& ids) const {
    return embedding.look_up(ids);
  }
  /// Whether the backward reads the outputs that forward gave: nobody may overwrite them before.
  virtual bool keeps_outputs() const { return false; }
  /// What the optimizer trains, in a fixed order.
  virtual std::vector<Parameter> parameters() const = 0;
  /// Rows first … last-1 of linear's weight, fp32 [last-first,in] -> the same rows with the addition in them.
  virtual at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const = 0;
  /// The linear's bias [out] with the addition in it; undefined where there is none.
  virtual at::Tensor merged_bias(const Linear& linear) const { return linear.bias; }
};

}  // namespace graft
