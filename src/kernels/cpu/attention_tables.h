#pragma once

#include "kernels/cpu/attention_rows.h"

/// The tables of each instruction set, one file compiled for each; attention_rows.cpp chooses.
namespace graft {

struct AttentionTables {
  AttentionRows<Bf16Bits, Bf16Bits, float> bf16;
  AttentionRows<Bf16Bits, float, float> bf16_through_fp32;
  AttentionRows<float, float, float> fp32;
};

extern const AttentionTables kAttentionAvx2;        ///< AVX2 and FMA
extern const AttentionTables kAttentionAvx512;      ///< AVX-512 F, BW, DQ, VL
extern const AttentionTables kAttentionAvx512Bf16;  ///< and BF16

}  // namespace graft
