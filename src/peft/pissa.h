#pragma once

#include "peft/lora.h"

namespace graft {

/// PiSSA: factors that start as the largest R singular directions of the weight, W = U S V^T:
/// A = sqrt(S_R / s) V_R^T, B = U_R sqrt(S_R / s), whose product is subtracted again (LoraFactors::start_a),
/// so that training starts from W and changes its principal part first. niter > 0: randomised SVD with as
/// many rounds of subspace iteration (Halko et al. 2009, algorithm 4.4), drawn from `seed`; 0: the exact one.
/// Source: Meng et al., "PiSSA: Principal Singular Values and Singular Vectors Adaptation" (2024).
void derive_pissa(const AdaptedModule& module, const FrozenWeight& weight, std::int64_t niter,
                  std::uint64_t seed, AdapterTensors& to);

/// Sets factors of a module that start as these, and their start.
void set_started(const AdaptedModule& module, const at::Tensor& a, const at::Tensor& b, AdapterTensors& to);

}  // namespace graft
