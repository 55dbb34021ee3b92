#pragma once

#include "peft/lora.h"

namespace graft {

/// DoRA: y = b + g (W x + s B A x), g = m / n row by row, n = ||W + s B A|| of the row, which no
/// gradient flows through; m, trained, starts as the norm of W's rows. n^2 = ||W||^2 + 2 s rowsum((W A^T) B)
/// + s^2 rowsum((B (A A^T)) B), so neither W + s B A nor B A is formed; it is computed once per update of A
/// and B. With dropout y = b + W x + (g - 1) W drop(x) + g s B A drop(x), as in PEFT: one product with W
/// more. Source: Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation" (2024), equations 5 and 11.
class Dora : public Lora {
 public:
  /// magnitude [out] fp32
  Dora(LoraFactors factors, at::Tensor magnitude, bool freeze_a);

  std::optional<LoraTerm> term(const Linear& linear, at::ScalarType dtype) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;
  bool keeps_outputs() const override { return true; }

  /// Norms [out] fp32 to divide by. A row of zeros has no direction and stays as it is: its quotient is 1.
  struct Divisor {
    at::Tensor inverse = {};  ///< 0 where the norm is 0
    at::Tensor zeros = {};    ///< 1 there, else 0
  };

 private:
  /// n of A and B as they are, [out] fp32.
  at::Tensor norms(const Linear& linear, const at::Tensor& a, const at::Tensor& b,
                   at::ScalarType dtype) const;

  at::Tensor magnitude_;
  mutable at::Tensor squared_base_norms_;  // [out] fp32, kept between calls
  mutable Divisor norms_;                  // n of A and B as they were at version_
  mutable std::int64_t version_ = -1;
};

/// The norms of W's rows, [out] fp32.
at::Tensor row_norms(const FrozenWeight& weight);
std::string magnitude_name(const std::string& module);

}  // namespace graft
