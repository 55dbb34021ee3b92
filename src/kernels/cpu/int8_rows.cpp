#include <cassert>

#include "kernels/cpu/int8_rows_loops.h"

namespace graft {

const Int8Rows int8_tables::kScalar = kTable;

const Int8Rows& int8_rows(CpuPath path) {
#ifdef __x86_64__
  if (path >= CpuPath::kAvx512) return int8_tables::kAvx512;
  if (path == CpuPath::kAvx2) return int8_tables::kAvx2;
#endif
  assert(path == CpuPath::kScalar);
  return int8_tables::kScalar;
}

const Int8Rows& int8_rows() {
  static const Int8Rows& best = int8_rows(cpu_paths().back());
  return best;
}

}  // namespace graft
