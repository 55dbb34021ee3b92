#pragma once

#include <cstdint>

#include "kernels/cpu/cpu_path.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/row_view.h"

namespace graft {

/// What becomes of a finished tile of a matrix product, on the calling thread, while its sums are in the
/// cache. Sums are rows of `width` fp32 numbers; targets say how many rows and columns count. Biases
/// [columns] and the addend may be null. Arithmetic is fp32; results are rounded to bf16 once.
struct TileKernels {
  /// to = sums + bias + addend
  void (*round)(const float* sums, std::int64_t width, const Bf16* bias, const RowView<const Bf16>& addend,
                const RowView<Bf16>& to);
  /// gate and up = their sums and biases; h = silu(gate), rounded, * up, of the rounded gate and up.
  void (*swiglu)(const float* gate_sums, const float* up_sums, std::int64_t width, const Bf16* gate_bias,
                 const Bf16* up_bias, const RowView<Bf16>& gate, const RowView<Bf16>& up,
                 const RowView<Bf16>& h);
  /// From the sums dh: dup = dh * silu(gate), dgate = dh * up * silu'(gate), and h again as above, to the
  /// bit. dgate may be gate, dup may be up.
  void (*swiglu_backward)(const float* dh, std::int64_t width, const RowView<const Bf16>& gate,
                          const RowView<const Bf16>& up, const RowView<Bf16>& dgate, const RowView<Bf16>& dup,
                          const RowView<Bf16>& h);
};

const TileKernels& tile_kernels(CpuPath path);
/// The table of the best path, found once.
const TileKernels& tile_kernels();

/// The tables, one file each.
namespace tile_tables {
extern const TileKernels kScalar, kAvx2, kAvx512, kAvx512Bf16;
}

}  // namespace graft
