#include "kernels/cpu/int8_rows_loops.h"

namespace graft {

const Int8Rows int8_tables::kAvx2 = kTable;

}  // namespace graft
