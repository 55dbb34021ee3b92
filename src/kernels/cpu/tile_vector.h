#pragma once

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/tile_kernels.h"

/// The vector form of tile_scalar.cpp, compiled once per instruction set.
namespace graft {
namespace {

void round_tile(const float* sums, std::int64_t width, const Bf16* bias, const RowView<const Bf16>& addend,
                const RowView<Bf16>& to) {
  for (std::int64_t row = 0; row < to.count; ++row, sums += width) {
    const Bf16* more = addend.data == nullptr ? nullptr : addend.data + row * addend.stride;
    for_lanes(to.width, [&](std::int64_t i, auto lanes) {
      Floats value = get(sums + i, lanes);
      if (bias != nullptr) value += get(bias + i, lanes);
      if (more != nullptr) value += get(more + i, lanes);
      put(to.data + row * to.stride + i, value, lanes);
    });
  }
}

// One home for h, so that the backward makes the same one.
[[gnu::always_inline]] inline Floats gated(Floats gate, Floats silu_share, Floats up) {
  return round_to<Bf16>(gate * silu_share) * up;
}

void swiglu_tile(const float* gate_sums, const float* up_sums, std::int64_t width, const Bf16* gate_bias,
                 const Bf16* up_bias, const RowView<Bf16>& gate, const RowView<Bf16>& up,
                 const RowView<Bf16>& h) {
  for (std::int64_t row = 0; row < h.count; ++row, gate_sums += width, up_sums += width) {
    for_lanes(h.width, [&](std::int64_t i, auto lanes) {
      Floats g = get(gate_sums + i, lanes), u = get(up_sums + i, lanes);
      if (gate_bias != nullptr) g += get(gate_bias + i, lanes);
      if (up_bias != nullptr) u += get(up_bias + i, lanes);
      g = round_to<Bf16>(g), u = round_to<Bf16>(u);
      put(gate.data + row * gate.stride + i, g, lanes);
      put(up.data + row * up.stride + i, u, lanes);
      put(h.data + row * h.stride + i, gated(g, sigmoid(g), u), lanes);
    });
  }
}

void swiglu_backward_tile(const float* dh, std::int64_t width, const RowView<const Bf16>& gate,
                          const RowView<const Bf16>& up, const RowView<Bf16>& dgate, const RowView<Bf16>& dup,
                          const RowView<Bf16>& h) {
  for (std::int64_t row = 0; row < h.count; ++row, dh += width) {
    for_lanes(h.width, [&](std::int64_t i, auto lanes) {
      const Floats g = get(gate.data + row * gate.stride + i, lanes),
                   u = get(up.data + row * up.stride + i, lanes), d = get(dh + i, lanes), s = sigmoid(g);
      put(dup.data + row * dup.stride + i, d * round_to<Bf16>(g * s), lanes);
      put(dgate.data + row * dgate.stride + i, d * u * s * (1.0F + g * (1.0F - s)), lanes);
      put(h.data + row * h.stride + i, gated(g, s, u), lanes);
    });
  }
}

constexpr TileKernels kTile{round_tile, swiglu_tile, swiglu_backward_tile};

}  // namespace
}  // namespace graft
