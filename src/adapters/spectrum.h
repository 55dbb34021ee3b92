#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace graft {

/// Sizes of one low-rank product B A, which is never built: A [R,in], B [out,R].
struct ProductSpectrum {
  double norm_a = 0.0, norm_b = 0.0;    ///< Frobenius
  std::vector<double> singular_values;  ///< [R], of B A, falling
  /// Frobenius norm of B A.
  double norm() const;
};

/// From the R x R Gram matrices A A^T and B^T B in fp64: the squares of the singular values of B A are the
/// eigenvalues of L^T (A A^T) L, L L^T = B^T B (Cholesky). Values below 1e-7 of the largest are rounding.
ProductSpectrum spectrum_of(const at::Tensor& a, const at::Tensor& b);

/// exp of the entropy of the shares of the singular values; 0 where all are zero. Source: Roy and Vetterli,
/// "The effective rank" (2007).
double effective_rank(const std::vector<double>& singular_values);

/// How many of the largest hold `share` of the sum of squares; 0 where all are zero.
std::int64_t rank_of_energy(const std::vector<double>& singular_values, double share);

/// The low-rank product nearest to another.
struct NearestProduct {
  at::Tensor a;         ///< [rank,in] fp32
  at::Tensor b;         ///< [out,rank] fp32
  double kept = 1.0;    ///< share of the sum of squares
  double energy = 0.0;  ///< sum of squares of the product that it is nearest to
};

/// The nearest product of rank `rank` to B A, its singular values shared evenly by both factors; zeros fill
/// up where `rank` is larger than what B A has. By QR of both factors and the SVD of the R x R core, in fp64.
/// Of a product that is zero the first rows of A stay, so that it can still be trained.
NearestProduct nearest_product(const at::Tensor& a, const at::Tensor& b, std::int64_t rank);

/// Two weighted products beside each other.
struct ProductDifference {
  double norm_first = 0.0, norm_second = 0.0;
  double norm = 0.0;    ///< of first - second: no cancellation in a squared form
  double cosine = 0.0;  ///< 0 where one is zero
};

/// s1 B1 A1 beside s2 B2 A2 of the same [out,in]; ranks may differ. By QR of the stacked factors, in fp64.
ProductDifference difference_of(const at::Tensor& a1, const at::Tensor& b1, double scale1,
                                const at::Tensor& a2, const at::Tensor& b2, double scale2);

}  // namespace graft
