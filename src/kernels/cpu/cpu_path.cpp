#include "kernels/cpu/cpu_path.h"

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
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
    paths.push_back(CpuPath::kAvx2);
  if (paths.size() == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    paths.push_back(CpuPath::kAvx512);
#endif
  return paths;
}

bool has_bf16_dots() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

}  // namespace graft
