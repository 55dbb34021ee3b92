#include <cmath>

#include "kernels/cpu/tile_kernels.h"
#include "kernels/half.h"

namespace graft {
namespace {

float value(Bf16 x) { return f32_of_bf16(x.bits); }
Bf16 rounded(float x) { return {bf16_of_f32(x)}; }
float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

void round_tile(const float* sums, std::int64_t width, const Bf16* bias, const RowView<const Bf16>& addend,
                const RowView<Bf16>& to) {
  for (std::int64_t row = 0; row < to.count; ++row)
    for (std::int64_t i = 0; i < to.width; ++i) {
      float sum = sums[row * width + i];
      if (bias != nullptr) sum += value(bias[i]);
      if (addend.data != nullptr) sum += value(addend.data[row * addend.stride + i]);
      to.data[row * to.stride + i] = rounded(sum);
    }
}

Bf16 gated(float gate, float up) { return rounded(value(rounded(gate * sigmoid(gate))) * up); }

void swiglu_tile(const float* gate_sums, const float* up_sums, std::int64_t width, const Bf16* gate_bias,
                 const Bf16* up_bias, const RowView<Bf16>& gate, const RowView<Bf16>& up,
                 const RowView<Bf16>& h) {
  const RowView<const Bf16> nothing{nullptr, 0, 0, 0};
  round_tile(gate_sums, width, gate_bias, nothing, gate);
  round_tile(up_sums, width, up_bias, nothing, up);
  for (std::int64_t row = 0; row < h.count; ++row)
    for (std::int64_t i = 0; i < h.width; ++i)
      h.data[row * h.stride + i] =
          gated(value(gate.data[row * gate.stride + i]), value(up.data[row * up.stride + i]));
}

void swiglu_backward_tile(const float* dh, std::int64_t width, const RowView<const Bf16>& gate,
                          const RowView<const Bf16>& up, const RowView<Bf16>& dgate, const RowView<Bf16>& dup,
                          const RowView<Bf16>& h) {
  for (std::int64_t row = 0; row < h.count; ++row)
    for (std::int64_t i = 0; i < h.width; ++i) {
      const float g = value(gate.data[row * gate.stride + i]), u = value(up.data[row * up.stride + i]),
                  d = dh[row * width + i], s = sigmoid(g);
      dup.data[row * dup.stride + i] = rounded(d * value(rounded(g * s)));
      dgate.data[row * dgate.stride + i] = rounded(d * u * s * (1.0F + g * (1.0F - s)));
      h.data[row * h.stride + i] = gated(g, u);
    }
}

}  // namespace

namespace tile_tables {
const TileKernels kScalar{round_tile, swiglu_tile, swiglu_backward_tile};
}

#ifdef __x86_64__
const TileKernels& tile_kernels(CpuPath path) {
  return path == CpuPath::kAvx512Bf16 ? tile_tables::kAvx512Bf16
         : path == CpuPath::kAvx512   ? tile_tables::kAvx512
         : path == CpuPath::kAvx2     ? tile_tables::kAvx2
                                      : tile_tables::kScalar;
}
#else
const TileKernels& tile_kernels(CpuPath) { return tile_tables::kScalar; }
#endif

const TileKernels& tile_kernels() {
  static const TileKernels& best = tile_kernels(cpu_paths().back());
  return best;
}

}  // namespace graft
