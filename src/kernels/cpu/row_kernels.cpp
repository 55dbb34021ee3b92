#include "kernels/cpu/row_kernels.h"

namespace graft {

std::string_view name(CpuPath path) {
  switch (path) {
    case CpuPath::kAvx2:
      return "avx2";
    case CpuPath::kAvx512:
      return "avx512";
    default:
      return "scalar";
  }
}

std::vector<CpuPath> cpu_paths() {
  std::vector<CpuPath> paths{CpuPath::kScalar};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) paths.push_back(CpuPath::kAvx2);
  if (paths.size() == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    paths.push_back(CpuPath::kAvx512);
#endif
  return paths;
}

#ifdef __x86_64__
template <>
const RowKernels<float>& row_kernels(CpuPath path) {
  return path == CpuPath::kAvx512 ? row_tables::kAvx512Float
         : path == CpuPath::kAvx2 ? row_tables::kAvx2Float
                                  : row_tables::kScalarFloat;
}
template <>
const RowKernels<Bf16>& row_kernels(CpuPath path) {
  return path == CpuPath::kAvx512 ? row_tables::kAvx512Bf16
         : path == CpuPath::kAvx2 ? row_tables::kAvx2Bf16
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
