#include "kernels/cpu/row_vector.h"

namespace graft::row_tables {
const RowKernels<Bf16> kAvx512Bf16Bf16 = kTable<Bf16>;
}
