#include "kernels/cpu/attention_tables.h"
#include "kernels/cpu/attention_vector.h"

namespace graft {

const AttentionTables kAttentionAvx2 = {.bf16 = vector_rows<Bf16Bits, Bf16Bits>("avx2"),
                                        .bf16_through_fp32 = vector_rows<Bf16Bits, float>("avx2"),
                                        .fp32 = vector_rows<float, float>("avx2")};

}  // namespace graft
