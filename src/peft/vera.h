#pragma once

#include "peft/layout.h"
#include "peft/linear_adapter.h"

namespace graft {

/// VeRA: y = W x + l_b (B (l_d (A drop(x)))), where A [R, largest in] and B [largest out, R] are random,
/// frozen and shared by all modules, which read their first columns and rows; the vectors l_d [R] and l_b
/// [out] are trained. Source: Kopiczko et al., "VeRA: Vector-based Random Matrix Adaptation" (2023),
/// equation 2.
class Vera : public LinearAdapter {
 public:
  /// a [R,in] and b [out,R]: the module's parts of the shared matrices.
  Vera(std::string module, at::Tensor a, at::Tensor b, at::Tensor lambda_d, at::Tensor lambda_b);

  std::optional<LoraTerm> term(const Linear& linear, at::ScalarType dtype) const override;
  std::vector<StoredTensor> stored() const override;
  at::Tensor merge_into(const Linear& linear, const at::Tensor& rows, std::int64_t first) const override;

 private:
  std::string module_;
  at::Tensor a_, b_, lambda_d_, lambda_b_;
};

inline constexpr char kVeraA[] = "vera_A";
inline constexpr char kVeraB[] = "vera_B";

/// Names and shapes of all modules' vectors and of the two shared matrices.
std::vector<TensorSpec> vera_tensors(const AdapterLayout& layout);

/// The shared matrices as PEFT draws them: libtorch's CPU generator seeded with projection_prng_key, uniform
/// in ±sqrt(6 / fan_in); l_d 0.1, l_b zero.
void draw_vera(const AdapterLayout& layout, const LoraOptions& options, AdapterTensors& to);
/// The shared matrices alone: a file may leave them out (save_projection: false).
void draw_vera_projections(const AdapterLayout& layout, std::int64_t prng_key, AdapterTensors& to);

std::shared_ptr<const LinearAdapter> make_vera(const AdaptedModule& module, const AdapterTensors& tensors);

}  // namespace graft
