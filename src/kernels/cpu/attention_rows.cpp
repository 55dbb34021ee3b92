#include "kernels/cpu/attention_rows.h"

#include <vector>

#include "kernels/cpu/attention_scalar.h"
#include "kernels/cpu/attention_tables.h"
#include "kernels/cpu/cpu_path.h"

namespace graft {
namespace {

/// What this processor can run, the fastest first.
std::vector<const AttentionTables*> tables() {
  std::vector<const AttentionTables*> found;
#ifdef __x86_64__
  const std::vector<CpuPath> paths = cpu_paths();
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {
    if (*path == CpuPath::kAvx512Bf16) found.push_back(&kAttentionAvx512Bf16);
    if (*path == CpuPath::kAvx512) found.push_back(&kAttentionAvx512);
    if (*path == CpuPath::kAvx2) found.push_back(&kAttentionAvx2);
  }
#endif
  return found;
}

template <class Rows>
std::vector<Rows> with_scalar(Rows AttentionTables::*member, const Rows& scalar) {
  std::vector<Rows> all;
  for (const auto* table : tables()) all.push_back(table->*member);
  all.push_back(scalar);
  return all;
}

}  // namespace

template <>
std::span<const AttentionRows<Bf16Bits, Bf16Bits, float>> attention_rows() {
  static const auto all = with_scalar(&AttentionTables::bf16, scalar::rows<Bf16Bits, Bf16Bits, float>());
  return all;
}
template <>
std::span<const AttentionRows<Bf16Bits, float, float>> attention_rows() {
  static const auto all =
      with_scalar(&AttentionTables::bf16_through_fp32, scalar::rows<Bf16Bits, float, float>());
  return all;
}
template <>
std::span<const AttentionRows<float, float, float>> attention_rows() {
  static const auto all = with_scalar(&AttentionTables::fp32, scalar::rows<float, float, float>());
  return all;
}
template <>
std::span<const AttentionRows<double, double, double>> attention_rows() {
  static const std::vector all{scalar::rows<double, double, double>()};
  return all;
}

}  // namespace graft
