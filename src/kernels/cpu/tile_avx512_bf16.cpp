#include "kernels/cpu/tile_vector.h"

namespace graft::tile_tables {
const TileKernels kAvx512Bf16 = kTile;
}
