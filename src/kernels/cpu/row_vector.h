#pragma once

#include "kernels/cpu/drop_mask.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/row_kernels.h"

/// The vector form of row_scalar.cpp, compiled once per instruction set.
namespace graft {
namespace {

template <class T>
void rms_norm(const T* x, const T* weight, double eps, std::int64_t rows, std::int64_t width, T* y,
              float* rstd) {
  for (std::int64_t row = 0; row < rows; ++row, x += width, y += width) {
    Sum squares;
    for_lanes(width, [&](std::int64_t i, auto lanes) {
      const Floats v = get(x + i, lanes);
      squares.add(v * v);
    });
    rstd[row] = 1.0F / __builtin_sqrtf(squares.total() / static_cast<float>(width) + static_cast<float>(eps));
    for_lanes(width, [&](std::int64_t i, auto lanes) {
      put(y + i, round_to<T>(get(x + i, lanes) * rstd[row]) * get(weight + i, lanes), lanes);
    });
  }
}

template <class T>
void rms_norm_backward(const T* x, const T* weight, const float* rstd, const T* dy, std::int64_t rows,
                       std::int64_t width, T* dx) {
  for (std::int64_t row = 0; row < rows; ++row, x += width, dy += width, dx += width) {
    Sum dot;
    for_lanes(width, [&](std::int64_t i, auto lanes) {
      dot.add(get(dy + i, lanes) * get(weight + i, lanes) * get(x + i, lanes));
    });
    const float r = rstd[row], slope = dot.total() * r * r / static_cast<float>(width);
    for_lanes(width, [&](std::int64_t i, auto lanes) {
      put(dx + i, r * (get(dy + i, lanes) * get(weight + i, lanes) - get(x + i, lanes) * slope), lanes);
    });
  }
}

template <class T>
void rotate(const T* x, const float* cos, const float* sin, float sign, std::int64_t tokens,
            std::int64_t heads, std::int64_t half, T* y) {
  for (std::int64_t t = 0; t < tokens; ++t, cos += half, sin += half)
    for (std::int64_t h = 0; h < heads; ++h, x += 2 * half, y += 2 * half)
      for_lanes(half, [&](std::int64_t i, auto lanes) {
        const Floats x0 = get(x + i, lanes), x1 = get(x + half + i, lanes);
        const Floats c = get(cos + i, lanes), s = get(sin + i, lanes) * sign;
        put(y + i, x0 * c - x1 * s, lanes);
        put(y + half + i, x1 * c + x0 * s, lanes);
      });
}

template <class T>
void swiglu(const T* gate, const T* up, std::int64_t count, T* h) {
  for_lanes(count, [&](std::int64_t i, auto lanes) {
    const Floats g = get(gate + i, lanes);
    put(h + i, round_to<T>(g * sigmoid(g)) * get(up + i, lanes), lanes);
  });
}

template <class T>
void swiglu_backward(const T* gate, const T* up, const T* dh, std::int64_t count, T* dgate, T* dup) {
  for_lanes(count, [&](std::int64_t i, auto lanes) {
    const Floats g = get(gate + i, lanes), u = get(up + i, lanes), d = get(dh + i, lanes), s = sigmoid(g);
    put(dup + i, d * round_to<T>(g * s), lanes);
    put(dgate + i, d * u * s * (1.0F + g * (1.0F - s)), lanes);
  });
}

template <class T>
float largest_of(const T* z, std::int64_t count) {
  Floats largest = splat(-__builtin_inff());
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Floats v = get(z + i, AllLanes{});
    largest = v > largest ? v : largest;
  }
  float result = -__builtin_inff();
  for (; i < count; ++i) {
    const float v = get(z + i, SomeLanes{1})[0];
    result = v > result ? v : result;
  }
  for (int lane = 0; lane < kLanes; ++lane) result = largest[lane] > result ? largest[lane] : result;
  return result;
}

template <class T>
float sum_of_exponentials(const T* z, std::int64_t count, float largest) {
  Sum sum;
  const auto whole = count / kLanes * kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) sum.add(exp(get(z + i, AllLanes{}) - largest));
  float rest = 0;
  if (whole < count) {
    const Floats last = exp(get(z + whole, SomeLanes{static_cast<std::size_t>(count - whole)}) - largest);
    for (int lane = 0; lane < count - whole; ++lane) rest += last[lane];
  }
  return sum.total() + rest;
}

template <class T>
void cross_entropy(const T* logits, const std::int64_t* targets, std::int64_t rows, std::int64_t vocabulary,
                   float* loss, T* gradient) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const T* z = logits + row * vocabulary;
    const float largest = largest_of(z, vocabulary);
    const float sum = sum_of_exponentials(z, vocabulary, largest);
    const auto target = targets[row];
    const float at_target = get(z + target, SomeLanes{1})[0] - largest;
    loss[row] = __builtin_logf(sum) - at_target;
    if (gradient == nullptr) continue;
    T* d = gradient + row * vocabulary;
    const float share = 1.0F / sum;
    for_lanes(vocabulary, [&](std::int64_t i, auto lanes) {
      put(d + i, exp(get(z + i, lanes) - largest) * share, lanes);
    });
    put(d + target, exp(splat(at_target)) * share - 1.0F, SomeLanes{1});
  }
}

template <class T>
void drop(const T* x, const DropRow& row, std::int64_t width, T* y) {
  alignas(64) std::uint32_t words[kMaskChannels];
  for (std::int64_t first = 0; first < width; first += kMaskChannels) {
    mask_words(row, static_cast<std::uint32_t>(first / 4), words);
    for_lanes(width - first < kMaskChannels ? width - first : kMaskChannels, [&](std::int64_t i, auto lanes) {
      const Words drawn = read<Words>(words + i, lanes);
      put(y + first + i, drawn < row.threshold ? Floats{} : get(x + first + i, lanes) * row.scale, lanes);
    });
  }
}

template <class T>
void scale(const T* x, float factor, std::int64_t count, T* y) {
  for_lanes(count, [&](std::int64_t i, auto lanes) { put(y + i, get(x + i, lanes) * factor, lanes); });
}

template <class T>
void gain_backward(const T* dy, const T* y, const float* gain, std::int64_t rows, std::int64_t width, T* dz,
                   float* sums) {
  for (std::int64_t row = 0; row < rows; ++row, dy += width, y += width, dz += width)
    for_lanes(width, [&](std::int64_t i, auto lanes) {
      const Floats d = get(dy + i, lanes);
      put(sums + i, get(sums + i, lanes) + d * get(y + i, lanes), lanes);
      put(dz + i, d * get(gain + i, lanes), lanes);
    });
}

template <class T>
constexpr RowKernels<T> kTable{rms_norm<T>,        rms_norm_backward<T>, rotate<T>, swiglu<T>,
                               swiglu_backward<T>, cross_entropy<T>,     drop<T>,   scale<T>,
                               gain_backward<T>};

}  // namespace
}  // namespace graft
