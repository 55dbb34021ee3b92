#pragma once

#include <string_view>
#include <vector>

namespace graft {

/// The instruction sets that the kernels are compiled for, plainest first. kAvx2: AVX2, FMA, F16C; kAvx512:
/// and AVX-512 F, BW, DQ, VL; kAvx512Bf16: and AVX512_BF16. This is the one place that asks the processor.
enum class CpuPath { kScalar, kAvx2, kAvx512, kAvx512Bf16 };
std::string_view name(CpuPath path);
/// Those that this machine can run; the last is the best.
std::vector<CpuPath> cpu_paths();

}  // namespace graft
