#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/cpu/cpu_path.h"

namespace graft {

/// A bf16 as its bits.
struct Bf16 {
  std::uint16_t bits;
};

/// What sums, statistics and losses of T's rows are kept in.
template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// Which positions and channels of a row a dropout mask drops; see ops/dropout.h for the function.
struct DropRow {
  std::uint32_t key[2];
  std::uint32_t position;
  std::uint32_t example[2];  ///< low and high word of the id
  std::uint32_t threshold;   ///< words below it drop their element
  float scale;               ///< of the elements that stay
};

/// Fused passes over contiguous rows of T (float, Bf16, double), each on the calling thread. Targets may be
/// their own sources where noted. Arithmetic is fp32 (fp64 for double); results are rounded to T once, and
/// where noted before.
template <class T>
struct RowKernels {
  using Sum = SumOf<T>;
  /// y = x * rstd, rounded, * weight; rstd [rows] = 1 / sqrt(mean(x^2) + eps).
  void (*rms_norm)(const T* x, const T* weight, double eps, std::int64_t rows, std::int64_t width, T* y,
                   Sum* rstd);
  /// dx = rstd * (g - n * mean(g n)) with g = dy * weight, n = x * rstd.
  void (*rms_norm_backward)(const T* x, const T* weight, const Sum* rstd, const T* dy, std::int64_t rows,
                            std::int64_t width, T* dx);
  /// Every head [2 * half] of a token: y = (x0 c - x1 s, x1 c + x0 s), s = sign * sin. cos, sin [tokens,
  /// half]. y may be x.
  void (*rotate)(const T* x, const float* cos, const float* sin, float sign, std::int64_t tokens,
                 std::int64_t heads, std::int64_t half, T* y);
  /// h = silu(gate), rounded, * up. h may be gate or up.
  void (*swiglu)(const T* gate, const T* up, std::int64_t count, T* h);
  /// dup = dh * silu(gate), dgate = dh * up * silu'(gate). dgate may be gate or dh, dup may be up.
  void (*swiglu_backward)(const T* gate, const T* up, const T* dh, std::int64_t count, T* dgate, T* dup);
  /// loss [rows] = log(sum exp(logits)) - logits[target]; gradient = softmax(logits) - onehot(target) where
  /// not null. gradient may be logits.
  void (*cross_entropy)(const T* logits, const std::int64_t* targets, std::int64_t rows,
                        std::int64_t vocabulary, Sum* loss, T* gradient);
  /// y = x * scale where kept, else 0. y may be x.
  void (*drop)(const T* x, const DropRow& row, std::int64_t width, T* y);
  /// y = x * factor. y may be x.
  void (*scale)(const T* x, Sum factor, std::int64_t count, T* y);
  /// Of y = z * gain [width]: dz = dy * gain; sums [width] += dy * y. dz may be dy.
  void (*gain_backward)(const T* dy, const T* y, const Sum* gain, std::int64_t rows, std::int64_t width,
                        T* dz, Sum* sums);
};

template <class T>
const RowKernels<T>& row_kernels(CpuPath path);
/// The table of the best path, found once.
template <class T>
const RowKernels<T>& row_kernels();

/// The tables, one file each. double has the scalar one only: it serves finite differences.
namespace row_tables {
extern const RowKernels<float> kScalarFloat, kAvx2Float, kAvx512Float;
extern const RowKernels<Bf16> kScalarBf16, kAvx2Bf16, kAvx512Bf16, kAvx512Bf16Bf16;
extern const RowKernels<double> kScalarDouble;
}  // namespace row_tables

}  // namespace graft
