// The plain loops: the reference of the vector paths, the path of machines that have none of them, and fp64.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/drop_mask.h"
#include "kernels/cpu/row_kernels.h"

namespace graft {
namespace {

float get(float x) { return x; }
double get(double x) { return x; }
float get(Bf16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
T round_to(SumOf<T> x) {
  return x;
}
template <>
Bf16 round_to<Bf16>(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (std::isnan(x)) return {0x7fc0};
  return {static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};  // nearest even
}

template <class T>
void rms_norm(const T* x, const T* weight, double eps, std::int64_t rows, std::int64_t width, T* y,
              SumOf<T>* rstd) {
  using Sum = SumOf<T>;
  for (std::int64_t row = 0; row < rows; ++row, x += width, y += width) {
    Sum squares = 0;
    for (std::int64_t i = 0; i < width; ++i) squares += get(x[i]) * get(x[i]);
    rstd[row] = 1 / std::sqrt(squares / static_cast<Sum>(width) + static_cast<Sum>(eps));
    for (std::int64_t i = 0; i < width; ++i)
      y[i] = round_to<T>(get(round_to<T>(get(x[i]) * rstd[row])) * get(weight[i]));
  }
}

template <class T>
void rms_norm_backward(const T* x, const T* weight, const SumOf<T>* rstd, const T* dy, std::int64_t rows,
                       std::int64_t width, T* dx) {
  using Sum = SumOf<T>;
  for (std::int64_t row = 0; row < rows; ++row, x += width, dy += width, dx += width) {
    Sum dot = 0;
    for (std::int64_t i = 0; i < width; ++i) dot += get(dy[i]) * get(weight[i]) * get(x[i]);
    const Sum slope = dot * rstd[row] * rstd[row] / static_cast<Sum>(width);
    for (std::int64_t i = 0; i < width; ++i)
      dx[i] = round_to<T>(rstd[row] * (get(dy[i]) * get(weight[i]) - get(x[i]) * slope));
  }
}

template <class T>
void rotate(const T* x, const float* cos, const float* sin, float sign, std::int64_t tokens,
            std::int64_t heads, std::int64_t half, T* y) {
  for (std::int64_t t = 0; t < tokens; ++t, cos += half, sin += half)
    for (std::int64_t h = 0; h < heads; ++h, x += 2 * half, y += 2 * half)
      for (std::int64_t i = 0; i < half; ++i) {
        const auto x0 = get(x[i]), x1 = get(x[half + i]);
        y[i] = round_to<T>(x0 * cos[i] - x1 * (sign * sin[i]));
        y[half + i] = round_to<T>(x1 * cos[i] + x0 * (sign * sin[i]));
      }
}

template <class Sum>
Sum sigmoid(Sum x) {
  return 1 / (1 + std::exp(-x));
}

template <class T>
void swiglu(const T* gate, const T* up, std::int64_t count, T* h) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto g = get(gate[i]);
    h[i] = round_to<T>(get(round_to<T>(g * sigmoid(g))) * get(up[i]));
  }
}

template <class T>
void swiglu_backward(const T* gate, const T* up, const T* dh, std::int64_t count, T* dgate, T* dup) {
  for (std::int64_t i = 0; i < count; ++i) {
    const auto g = get(gate[i]), u = get(up[i]), d = get(dh[i]), s = sigmoid(g);
    dup[i] = round_to<T>(d * get(round_to<T>(g * s)));
    dgate[i] = round_to<T>(d * u * s * (1 + g * (1 - s)));
  }
}

template <class T>
void cross_entropy(const T* logits, const std::int64_t* targets, std::int64_t rows, std::int64_t vocabulary,
                   SumOf<T>* loss, T* gradient) {
  using Sum = SumOf<T>;
  for (std::int64_t row = 0; row < rows; ++row) {
    const T* z = logits + row * vocabulary;
    Sum largest = get(z[0]), sum = 0;
    for (std::int64_t i = 1; i < vocabulary; ++i) largest = std::max<Sum>(largest, get(z[i]));
    for (std::int64_t i = 0; i < vocabulary; ++i) sum += std::exp(get(z[i]) - largest);
    const auto target = targets[row];
    const Sum at_target = get(z[target]) - largest;
    loss[row] = std::log(sum) - at_target;
    if (gradient == nullptr) continue;
    T* d = gradient + row * vocabulary;
    for (std::int64_t i = 0; i < vocabulary; ++i) d[i] = round_to<T>(std::exp(get(z[i]) - largest) / sum);
    d[target] = round_to<T>(std::exp(at_target) / sum - 1);
  }
}

template <class T>
void drop(const T* x, const DropRow& row, std::int64_t width, T* y) {
  std::uint32_t words[kMaskChannels];
  for (std::int64_t first = 0; first < width; first += kMaskChannels) {
    mask_words(row, static_cast<std::uint32_t>(first / 4), words);
    for (std::int64_t i = first; i < std::min(first + kMaskChannels, width); ++i)
      y[i] = round_to<T>(words[i - first] < row.threshold ? 0 : get(x[i]) * row.scale);
  }
}

template <class T>
void scale(const T* x, SumOf<T> factor, std::int64_t count, T* y) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = round_to<T>(get(x[i]) * factor);
}

template <class T>
void gain_backward(const T* dy, const T* y, const SumOf<T>* gain, std::int64_t rows, std::int64_t width,
                   T* dz, SumOf<T>* sums) {
  for (std::int64_t row = 0; row < rows; ++row, dy += width, y += width, dz += width)
    for (std::int64_t i = 0; i < width; ++i) {
      const auto d = get(dy[i]);
      sums[i] += d * get(y[i]);
      dz[i] = round_to<T>(d * gain[i]);
    }
}

template <class T>
constexpr RowKernels<T> kTable{rms_norm<T>,        rms_norm_backward<T>, rotate<T>, swiglu<T>,
                               swiglu_backward<T>, cross_entropy<T>,     drop<T>,   scale<T>,
                               gain_backward<T>};

}  // namespace

namespace row_tables {
const RowKernels<float> kScalarFloat = kTable<float>;
const RowKernels<Bf16> kScalarBf16 = kTable<Bf16>;
const RowKernels<double> kScalarDouble = kTable<double>;
}  // namespace row_tables

}  // namespace graft
