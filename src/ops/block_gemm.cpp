#include "ops/block_gemm.h"

#include <ATen/native/CPUBlas.h>

#include <array>
#include <exception>

namespace graft {
namespace {

namespace blas = at::native::cpublas;

/// libtorch has no question for this: a machine that cannot throws at the first product.
bool try_bf16() {
  std::array<at::BFloat16, 256> a{}, b{};
  std::array<float, 256> c{};
  try {
    blas::brgemm(16, 16, 16, 16, 16, 16, /*add_C=*/false, a.data(), b.data(), c.data(), /*is_vnni=*/true);
    blas::brgemm_release();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

/// Without VNNI, sums of pairs saturate at 16 bits: the largest products show it.
bool try_int8() {
  constexpr int kDepth = 64, kSize = 16;
  std::array<unsigned char, kSize * kDepth> a{};
  std::array<signed char, kSize * kDepth> b{};
  std::array<std::int32_t, kSize * kSize> c{};
  a.fill(255);
  b.fill(127);
  try {
    blas::brgemm(kSize, kSize, kDepth, kDepth, kSize, kSize, /*add_C=*/false, a.data(), b.data(), c.data(),
                 /*is_vnni=*/true);
    blas::brgemm_release();
    return c.front() == 255 * 127 * kDepth && c.back() == c.front();
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

void multiply(const GemmShape& s, const Bf16Bits* a, const Bf16Bits* b, float* c, Sum sum) {
  blas::brgemm(s.m, s.n, s.k, s.lda, s.ldb, s.ldc, sum == Sum::kAdd, reinterpret_cast<const at::BFloat16*>(a),
               reinterpret_cast<const at::BFloat16*>(b), c, /*is_vnni=*/true);
}

void multiply(const GemmShape& s, const float* a, const float* b, float* c, Sum sum) {
  blas::brgemm(s.m, s.n, s.k, s.lda, s.ldb, s.ldc, sum == Sum::kAdd, a, b, c, /*is_vnni=*/false);
}

void multiply(const GemmShape& s, const std::uint8_t* a, const std::int8_t* b, std::int32_t* c, Sum sum) {
  blas::brgemm(s.m, s.n, s.k, s.lda, s.ldb, s.ldc, sum == Sum::kAdd, a, b, c, /*is_vnni=*/true);
}

void multiply(const GemmShape& s, const double* a, const double* b, double* c, Sum sum) {
  for (std::int64_t i = 0; i < s.m; ++i) {
    double* row = c + i * s.ldc;
    if (sum == Sum::kSet)
      for (std::int64_t j = 0; j < s.n; ++j) row[j] = 0;
    for (std::int64_t l = 0; l < s.k; ++l)
      for (std::int64_t j = 0; j < s.n; ++j) row[j] += a[i * s.lda + l] * b[l * s.ldb + j];
  }
}

bool multiplies_bf16() {
  static const bool available = try_bf16();
  return available;
}

bool multiplies_int8() {
  static const bool available = try_int8();
  return available;
}

void release_multiplier() { blas::brgemm_release(); }

}  // namespace graft
