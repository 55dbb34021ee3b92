#pragma once

#include "peft/lora.h"

namespace graft {

/// OLoRA: factors that start as the first R columns and rows of W = Q R, B = Q_R, A = R_R, whose product is
/// subtracted again (LoraFactors::start_a). Source: Büyükakyüz, "OLoRA: Orthonormal Low-Rank Adaptation of
/// Large Language Models" (2024).
void derive_olora(const AdaptedModule& module, const FrozenWeight& weight, AdapterTensors& to);

}  // namespace graft
