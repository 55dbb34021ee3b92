#include "kernels/cpu/attention_tables.h"
#include "kernels/cpu/attention_vector.h"

namespace graft {

const AttentionTables kAttentionAvx512Bf16 = {
    .bf16 = vector_rows<Bf16Bits, Bf16Bits>("avx512_bf16"),
    .bf16_through_fp32 = vector_rows<Bf16Bits, float>("avx512_bf16"),
    .fp32 = vector_rows<float, float>("avx512_bf16")};

}  // namespace graft
