#include "adapters/merged_factors.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cmath>
#include <tuple>
#include <utility>

#include "adapters/spectrum.h"
#include "base/error.h"
#include "base/machine.h"
#include "base/random.h"

namespace graft {
namespace {

at::Tensor with_rank(const at::Tensor& factor, std::int64_t dim, std::int64_t rank) {
  std::vector<std::int64_t> shape = factor.sizes().vec();
  const std::int64_t more = rank - shape[static_cast<std::size_t>(dim)];
  if (more == 0) return factor;
  shape[static_cast<std::size_t>(dim)] = more;
  return at::cat({factor, at::zeros(shape, factor.options())}, dim);
}

// All adapters beside each other: exactly their weighted sum.
std::pair<at::Tensor, at::Tensor> stacked(const std::vector<FactorPart>& parts) {
  std::vector<at::Tensor> a, b;
  for (const FactorPart& part : parts) {
    a.push_back(part.a * (part.weight * part.scale));
    b.push_back(part.b);
  }
  return {at::cat(a, 0), at::cat(b, 1)};
}

// sqrt|w s| on both sides, the sign on A alone: two negative factors would make a positive product.
std::pair<at::Tensor, at::Tensor> added_factors(const std::vector<FactorPart>& parts, std::int64_t rank,
                                                TaskMerge how) {
  std::vector<at::Tensor> a, b;
  std::vector<double> of_a, of_b;
  for (const FactorPart& part : parts) {
    const double weight = part.weight * part.scale, root = std::sqrt(std::abs(weight));
    a.push_back(with_rank(part.a, 0, rank));
    b.push_back(with_rank(part.b, 1, rank));
    of_a.push_back(weight < 0 ? -root : root);
    of_b.push_back(root);
  }
  const at::Tensor merged_a = merge_tasks(a, of_a, how);
  how.seed = mix(how.seed, 1);
  return {merged_a, merge_tasks(b, of_b, how)};
}

at::Tensor merged_product(const std::vector<FactorPart>& parts, const TaskMerge& how) {
  const double bytes = 8.0 * static_cast<double>(parts.size() + 3) * static_cast<double>(parts[0].b.size(0)) *
                       static_cast<double>(parts[0].a.size(1));
  const auto memory = static_cast<double>(installed_memory_bytes());
  check(memory == 0 || bytes < memory, ExitCode::kResource, "combine: B A of ", parts[0].b.size(0), " x ",
        parts[0].a.size(1), " does not fit in memory",
        Hint{"methods without _svd work on the factors; svd itself too"});
  std::vector<at::Tensor> products;
  std::vector<double> weights;
  for (const FactorPart& part : parts) {
    products.push_back(part.b.mm(part.a) * part.scale);
    weights.push_back(part.weight);
  }
  return merge_tasks(products, weights, how);
}

NearestProduct decomposed(const at::Tensor& product, std::int64_t rank) {
  // Through its own QR the product is "B A" with B the product and A the identity of the smaller side.
  const bool wide = product.size(1) > product.size(0);
  const at::Tensor unit = at::eye(wide ? product.size(0) : product.size(1), product.options());
  return wide ? nearest_product(product, unit, rank) : nearest_product(unit, product, rank);
}

}  // namespace

MergedFactors merge_factors(const std::vector<FactorPart>& parts, const CombineOptions& options,
                            std::int64_t rank, std::uint64_t key) {
  const CombineMethod& method = options.method;
  const TaskMerge how{.pruning = method.pruning,
                      .elects_sign = method.elects_sign,
                      .density = options.density,
                      .majority = options.majority,
                      .seed = mix(options.seed, key)};
  const auto [sum_a, sum_b] = stacked(parts);
  MergedFactors merged;
  if (method.domain == MergeDomain::kStacked) {
    merged.a = with_rank(sum_a, 0, rank);
    merged.b = with_rank(sum_b, 1, rank);
  } else if (method.domain == MergeDomain::kFactors) {
    std::tie(merged.a, merged.b) = added_factors(parts, rank, how);
  } else {
    const bool plain_sum = method.pruning == Pruning::kNone && !method.elects_sign;
    const NearestProduct nearest =
        plain_sum ? nearest_product(sum_a, sum_b, rank) : decomposed(merged_product(parts, how), rank);
    merged.a = nearest.a;
    merged.b = nearest.b;
  }
  const ProductDifference difference = difference_of(merged.a, merged.b, 1.0, sum_a, sum_b, 1.0);
  merged.distance = difference.norm;
  merged.norm = difference.norm_second;
  return merged;
}

}  // namespace graft
