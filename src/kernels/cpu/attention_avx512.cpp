#include "kernels/cpu/attention_tables.h"
#include "kernels/cpu/attention_vector.h"

namespace graft {

const AttentionTables kAttentionAvx512 = {.bf16 = vector_rows<Bf16Bits, Bf16Bits>("avx512"),
                                          .bf16_through_fp32 = vector_rows<Bf16Bits, float>("avx512"),
                                          .fp32 = vector_rows<float, float>("avx512")};

}  // namespace graft
