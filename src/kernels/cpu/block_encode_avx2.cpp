#include "kernels/cpu/block_encode_loops.h"

namespace graft {

const BlockEncode encode_tables::kAvx2 = kTable;

}  // namespace graft
