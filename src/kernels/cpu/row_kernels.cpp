#include "kernels/cpu/row_kernels.h"

namespace graft {

#ifdef __x86_64__
template <>
const RowKernels<float>& row_kernels(CpuPath path) {
  return path >= CpuPath::kAvx512 ? row_tables::kAvx512Float
         : path == CpuPath::kAvx2 ? row_tables::kAvx2Float
                                  : row_tables::kScalarFloat;
}
template <>
const RowKernels<Bf16>& row_kernels(CpuPath path) {
  return path == CpuPath::kAvx512Bf16 ? row_tables::kAvx512Bf16Bf16
         : path == CpuPath::kAvx512   ? row_tables::kAvx512Bf16
         : path == CpuPath::kAvx2     ? row_tables::kAvx2Bf16
                                      : row_tables::kScalarBf16;
}
#else
template <>
const RowKernels<float>& row_kernels(CpuPath) {
  return row_tables::kScalarFloat;
}
template <>
const RowKernels<Bf16>& row_kernels(CpuPath) {
  return row_tables::kScalarBf16;
}
#endif
template <>
const RowKernels<double>& row_kernels(CpuPath) {
  return row_tables::kScalarDouble;
}

template <class T>
const RowKernels<T>& row_kernels() {
  static const RowKernels<T>& best = row_kernels<T>(cpu_paths().back());
  return best;
}
template const RowKernels<float>& row_kernels();
template const RowKernels<Bf16>& row_kernels();
template const RowKernels<double>& row_kernels();

}  // namespace graft
