#include "kernels/cpu/row_vector.h"

namespace graft::row_tables {
const RowKernels<float> kAvx2Float = kTable<float>;
const RowKernels<Bf16> kAvx2Bf16 = kTable<Bf16>;
}  // namespace graft::row_tables
