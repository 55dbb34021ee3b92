#include "kernels/cpu/cpu_path.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace graft {
namespace {

#ifdef __x86_64__
// Not every compiler's __builtin_cpu_supports knows it. (Processors with AVX2 have it, and what it needs of
// the system.)
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

}  // namespace

std::string_view name(CpuPath path) {
  switch (path) {
    case CpuPath::kAvx2:
      return "avx2";
    case CpuPath::kAvx512:
      return "avx512";
    case CpuPath::kAvx512Bf16:
      return "avx512_bf16";
    default:
      return "scalar";
  }
}

std::vector<CpuPath> cpu_paths() {
  std::vector<CpuPath> paths{CpuPath::kScalar};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c())
    paths.push_back(CpuPath::kAvx2);
  if (paths.size() == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    paths.push_back(CpuPath::kAvx512);
  if (paths.size() == 3 && __builtin_cpu_supports("avx512bf16")) paths.push_back(CpuPath::kAvx512Bf16);
#endif
  return paths;
}

}  // namespace graft
