#pragma once

#include <cstdint>

#include "peft/layout.h"
#include "peft/linear_adapter.h"

namespace graft {

/// The factors of one linear: W x + scale * B (A x).
struct LoraFactors {
  std::string module;  ///< path of the linear
  at::Tensor a;        ///< [R,in] fp32 master
  at::Tensor b;        ///< [out,R] fp32 master
  double scale = 1.0;
  at::Tensor b_bias{};  ///< [out] fp32 master, or undefined
  /// What a was, and minus what b was, before training, where that is subtracted again (PiSSA, OLoRA): the
  /// addition is scale * (B A - B0 A0). Undefined: nothing is. Not trained.
  at::Tensor start_a{}, minus_start_b{};
};

/// LoRA of one linear: y = W x + s B A drop(x), s = alpha / R, or alpha / sqrt(R) (rsLoRA). With a bias on B
/// (PEFT's lora_bias) y has s times that too; it can be merged where the linear has a bias. With a start, the
/// same of twice the rank, s (B (A - A0) + (B - B0) A0): small differences, which rounding does not hurt; the
/// file holds [A; A0] and [B, -B0] as PEFT's conversion does. With freeze_a only B is trained. Source: Hu et
/// al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), section 4.1; Kalajdzievski, "A Rank
/// Stabilization Scaling Factor for Fine-Tuning with LoRA" (2023); Zhang et al., "LoRA-FA" (2023).
class Lora : public LinearAdapter {
 public:
  Lora(LoraFactors factors, bool freeze_a);

  std::optional<LoraTerm> term(const Linear& linear, at::ScalarType dtype) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;
  at::Tensor merged_bias(const Linear& linear) const override;

 protected:
  const std::string& module() const { return factors_.module; }
  double scale() const { return factors_.scale; }
  /// The factors that are multiplied, [R,in] and [out,R]; twice R with a start.
  at::Tensor a() const;
  at::Tensor b() const;
  /// Another number whenever a or b was written to.
  std::int64_t factors_version() const;

 private:
  /// Error (kBadInput): a bias on B, and the linear has none to add it to.
  void check_bias_merges(const Linear& linear) const;
  /// The linear's bias with what B's adds, [out] or undefined.
  at::Tensor bias_with(const at::Tensor& own) const;

  LoraFactors factors_;
};

/// Fresh factors of every adapted module, pure functions of (seed, module), as options.init says where they
/// do not depend on the weight. Kaiming: B zero, A uniform in ±1/sqrt(in), what kaiming_uniform_(a=sqrt(5))
/// of PEFT's default amounts to; gaussian: A normal with deviation 1/r; orthogonal: A and B of the odd and
/// even rows of one orthogonal matrix [R,R], so that B A = 0 (source: PEFT's orthogonal_init). Of an
/// embedding A is zero and B standard normal, and both are trained, freeze_a or not.
void draw_lora(const AdapterLayout& layout, const LoraOptions& options, std::uint64_t seed,
               AdapterTensors& to);

/// Names and shapes of the factors.
std::vector<TensorSpec> lora_tensors(const AdaptedModule& module);

/// The factors of a module out of named tensors.
LoraFactors lora_factors(const AdaptedModule& module, const AdapterTensors& tensors);

/// Names under which draws keep what factors were at the start; they are in no file.
std::string start_name_a(const std::string& module);
std::string start_name_b(const std::string& module);

/// The key of a module's dropout mask and of its draws.
std::uint64_t module_key(const std::string& path);

}  // namespace graft
