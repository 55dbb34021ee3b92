#include "kernels/cpu/block_encode_loops.h"

const graft::BlockEncode graft::encode_tables::kAvx512 = kTable;
