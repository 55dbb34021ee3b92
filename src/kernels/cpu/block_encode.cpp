#include "kernels/cpu/block_encode.h"

#include <cassert>

#include "kernels/cpu/block_encode_loops.h"

namespace graft {

const BlockEncode encode_tables::kScalar = kTable;

const BlockEncode& block_encode(CpuPath path) {
#ifdef __x86_64__
  if (path >= CpuPath::kAvx512) return encode_tables::kAvx512;
  if (path == CpuPath::kAvx2) return encode_tables::kAvx2;
#endif
  assert(path == CpuPath::kScalar);
  return encode_tables::kScalar;
}

const BlockEncode& block_encode() {
  static const BlockEncode& best = block_encode(cpu_paths().back());
  return best;
}

}  // namespace graft
