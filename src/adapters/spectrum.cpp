#include "adapters/spectrum.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

namespace graft {
namespace {

std::vector<double> values_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kDouble).contiguous();
  const double* values = flat.const_data_ptr<double>();
  return {values, values + flat.numel()};
}

double energy_of(const std::vector<double>& values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

// B A = q_b core q_a^T with orthonormal columns in q_b [out,K] and q_a [in,L].
struct Core {
  at::Tensor q_b, q_a, core;
};

Core core_of(const at::Tensor& a, const at::Tensor& b) {
  const auto [q_b, r_b] = at::linalg_qr(b.to(at::kDouble), "reduced");
  const auto [q_a, r_a] = at::linalg_qr(a.to(at::kDouble).t(), "reduced");
  return {q_b, q_a, r_b.mm(r_a.t())};
}

// The matrix with zeros behind its `dim`, so that it has `size` there.
at::Tensor padded(const at::Tensor& matrix, std::int64_t dim, std::int64_t size) {
  if (matrix.size(dim) == size) return matrix;
  std::vector<std::int64_t> shape = matrix.sizes().vec();
  shape[static_cast<std::size_t>(dim)] = size - matrix.size(dim);
  return at::cat({matrix, at::zeros(shape, matrix.options())}, dim);
}

// rows rows^T of [R,N] in fp64. Of what is symmetric three quarters are computed.
at::Tensor gram_of(const at::Tensor& rows) {
  const at::Tensor wide = rows.to(at::kDouble);
  const std::int64_t count = wide.size(0), half = count / 2;
  at::Tensor gram = at::empty({count, count}, wide.options());
  const at::Tensor top = wide.narrow(0, 0, half), bottom = wide.narrow(0, half, count - half);
  gram.narrow(0, 0, half).narrow(1, 0, half).copy_(top.mm(top.t()));
  gram.narrow(0, half, count - half).copy_(bottom.mm(wide.t()));
  gram.narrow(0, 0, half)
      .narrow(1, half, count - half)
      .copy_(gram.narrow(0, half, count - half).narrow(1, 0, half).t());
  return gram;
}

// L with L L^T = gram [R,R]: Cholesky's, several times as fast as eigenvectors; these where rounding has made
// gram indefinite, as it does where B has less than full rank.
at::Tensor root_of(const at::Tensor& gram) {
  const auto [factor, info] = at::linalg_cholesky_ex(gram);
  if (info.item<int>() == 0) return factor;
  const auto [values, vectors] = at::linalg_eigh(gram, "L");
  return vectors * values.clamp_min(0.0).sqrt();
}

}  // namespace

double ProductSpectrum::norm() const { return std::sqrt(energy_of(singular_values)); }

ProductSpectrum spectrum_of(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor gram_a = gram_of(a), gram_b = gram_of(b.t());  // [R,R]
  const at::Tensor root = root_of(gram_b);
  const at::Tensor squares = at::linalg_eigvalsh(root.t().mm(gram_a).mm(root), "L");
  return {.norm_a = std::sqrt(gram_a.trace().item<double>()),
          .norm_b = std::sqrt(gram_b.trace().item<double>()),
          .singular_values = values_of(squares.clamp_min(0.0).sqrt().flip(0))};
}

double effective_rank(const std::vector<double>& singular_values) {
  const double sum = std::accumulate(singular_values.begin(), singular_values.end(), 0.0);
  if (sum == 0.0) return 0.0;
  double entropy = 0.0;
  for (const double value : singular_values)
    if (value > 0.0) entropy -= value / sum * std::log(value / sum);
  return std::exp(entropy);
}

std::int64_t rank_of_energy(const std::vector<double>& singular_values, double share) {
  const double wanted = share * energy_of(singular_values);
  double sum = 0.0;
  std::int64_t rank = 0;
  for (const double value : singular_values) {
    if (sum >= wanted) break;
    sum += value * value;
    ++rank;
  }
  return rank;
}

NearestProduct nearest_product(const at::Tensor& a, const at::Tensor& b, std::int64_t rank) {
  const Core parts = core_of(a, b);
  const auto [u, s, vt] = at::linalg_svd(parts.core, /*full_matrices=*/false);
  const std::vector<double> all = values_of(s);
  const double energy = energy_of(all);
  const std::int64_t kept = std::min<std::int64_t>(rank, std::ssize(all));
  NearestProduct nearest;
  if (energy == 0.0) {
    const std::int64_t rows = std::min(rank, a.size(0));
    nearest.a = padded(a.narrow(0, 0, rows), 0, rank);
    nearest.b = at::zeros({b.size(0), rank}, at::kFloat);
    return nearest;
  }
  const at::Tensor root = s.narrow(0, 0, kept).sqrt();
  const at::Tensor left = parts.q_b.mm(u.narrow(1, 0, kept)) * root;
  const at::Tensor right = root.unsqueeze(1) * vt.narrow(0, 0, kept).mm(parts.q_a.t());
  nearest.a = padded(right.to(at::kFloat), 0, rank).contiguous();
  nearest.b = padded(left.to(at::kFloat), 1, rank).contiguous();
  nearest.kept = energy_of({all.begin(), all.begin() + kept}) / energy;
  nearest.energy = energy;
  return nearest;
}

ProductDifference difference_of(const at::Tensor& a1, const at::Tensor& b1, double scale1,
                                const at::Tensor& a2, const at::Tensor& b2, double scale2) {
  // One orthonormal basis for both products: their cores are small and can be subtracted entry by entry.
  const std::int64_t r1 = a1.size(0), r2 = a2.size(0);
  const auto [q_b, r_b] = at::linalg_qr(at::cat({b1, b2}, 1).to(at::kDouble), "r");
  const auto [q_a, r_a] = at::linalg_qr(at::cat({a1, a2}, 0).to(at::kDouble).t(), "r");
  const at::Tensor first = scale1 * r_b.narrow(1, 0, r1).mm(r_a.narrow(1, 0, r1).t());
  const at::Tensor second = scale2 * r_b.narrow(1, r1, r2).mm(r_a.narrow(1, r1, r2).t());
  ProductDifference result{.norm_first = first.norm().item<double>(),
                           .norm_second = second.norm().item<double>(),
                           .norm = (first - second).norm().item<double>()};
  const double product = result.norm_first * result.norm_second;
  if (product > 0.0) result.cosine = (first * second).sum().item<double>() / product;
  return result;
}

}  // namespace graft
