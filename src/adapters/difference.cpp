#include "adapters/difference.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "adapters/expert_slices.h"
#include "base/error.h"
#include "base/text.h"
#include "ops/parallel.h"

namespace graft {
namespace {

constexpr std::int64_t kWorthAThread = std::int64_t{1} << 20;

// A module in one of the adapters, or in both.
struct Pairing {
  std::string module;
  const FactorPair *first = nullptr, *second = nullptr;
};

std::vector<Pairing> paired(const AdapterFolder& first, const AdapterFolder& second) {
  std::map<std::string, Pairing> modules;
  for (const FactorPair& pair : first.pairs) modules[pair.module].first = &pair;
  for (const FactorPair& pair : second.pairs) modules[pair.module].second = &pair;
  std::vector<Pairing> pairings;
  for (auto& [module, pairing] : modules) {
    pairing.module = module;
    pairings.push_back(std::move(pairing));
  }
  std::sort(pairings.begin(), pairings.end(),
            [](const Pairing& x, const Pairing& y) { return path_before(x.module, y.module); });
  return pairings;
}

void check_shapes(const Pairing& pairing, const AdapterFolder& second) {
  if (pairing.first == nullptr || pairing.second == nullptr) return;
  const TensorView &a1 = *pairing.first->a, &b1 = *pairing.first->b;
  const TensorView &a2 = *pairing.second->a, &b2 = *pairing.second->b;
  const bool same_experts = pairing.first->experts == pairing.second->experts;
  check(same_experts && a1.shape[1] == a2.shape[1] && b1.shape[0] == b2.shape[0],
        printable(second.file->path().string()), ": ", printable(pairing.module), ": got a module [",
        b2.shape[0], ", ", a2.shape[1], "], want [", b1.shape[0], ", ", a1.shape[1],
        "] as in the other adapter");
}

ProductDifference sum_of(const std::vector<ProductDifference>& parts) {
  ProductDifference total;
  double dot = 0.0;
  for (const ProductDifference& part : parts) {
    total.norm_first += part.norm_first * part.norm_first;
    total.norm_second += part.norm_second * part.norm_second;
    total.norm += part.norm * part.norm;
    dot += part.cosine * part.norm_first * part.norm_second;
  }
  for (double* norm : {&total.norm_first, &total.norm_second, &total.norm}) *norm = std::sqrt(*norm);
  const double product = total.norm_first * total.norm_second;
  if (product > 0.0) total.cosine = dot / product;
  return total;
}

ProductDifference difference(const Pairing& pairing, const AdapterFolder& first,
                             const AdapterFolder& second) {
  const Path &where1 = first.file->path(), &where2 = second.file->path();
  const auto slices = [](const FactorPair& pair, const Path& where) {
    return slices_of(read_factors(pair, where), {.experts = pair.experts});
  };
  std::vector<ProductDifference> parts;
  if (pairing.first != nullptr && pairing.second != nullptr) {
    const std::vector<Factors> one = slices(*pairing.first, where1), other = slices(*pairing.second, where2);
    for (std::size_t i = 0; i < one.size(); ++i)
      parts.push_back(difference_of(one[i].a, one[i].b, pairing.first->scale, other[i].a, other[i].b,
                                    pairing.second->scale));
    return sum_of(parts);
  }
  const bool is_first = pairing.first != nullptr;
  const FactorPair& lone = is_first ? *pairing.first : *pairing.second;
  for (const Factors& slice : slices(lone, is_first ? where1 : where2)) {
    const double norm = std::abs(lone.scale) * spectrum_of(slice.a, slice.b).norm();
    parts.push_back(
        {.norm_first = is_first ? norm : 0.0, .norm_second = is_first ? 0.0 : norm, .norm = norm});
  }
  return sum_of(parts);
}

// Of the values of two tensors of one shape.
ProductDifference difference(const TensorView& first, const TensorView& second) {
  const at::Tensor one = read_values(first).to(at::kDouble), other = read_values(second).to(at::kDouble);
  ProductDifference of{.norm_first = one.norm().item<double>(),
                       .norm_second = other.norm().item<double>(),
                       .norm = (one - other).norm().item<double>()};
  const double product = of.norm_first * of.norm_second;
  if (product > 0.0) of.cosine = (one * other).sum().item<double>() / product;
  return of;
}

std::vector<TensorDifference> differing_others(const AdapterFolder& first, const AdapterFolder& second) {
  std::map<std::string, std::pair<const TensorView*, const TensorView*>> tensors;
  for (const TensorView* tensor : first.others) tensors[repaired_adapter_key(tensor->name)].first = tensor;
  for (const TensorView* tensor : second.others) tensors[repaired_adapter_key(tensor->name)].second = tensor;
  std::vector<TensorDifference> differing;
  for (const auto& [name, both] : tensors) {
    const auto& [one, other] = both;
    if (one == nullptr || other == nullptr || one->shape != other->shape) {
      differing.push_back({name, std::nullopt});
      continue;
    }
    if (one->dtype == other->dtype && std::ranges::equal(one->bytes, other->bytes)) continue;
    const bool floats = holds_floats(one->dtype) && holds_floats(other->dtype);
    differing.push_back({name, floats ? std::optional(difference(*one, *other)) : std::nullopt});
  }
  return differing;
}

}  // namespace

AdapterDifference compare_adapters(const AdapterFolder& first, const AdapterFolder& second) {
  check(first.peft_type() == second.peft_type(), second.view(), ": /peft_type: diff: got ",
        printable(second.peft_type()), ", want ", printable(first.peft_type()), " as in the other adapter");
  if (!first.pairs.empty() || first.peft_type() == "LORA") check_factors(first, "diff");
  if (!second.pairs.empty() || first.peft_type() == "LORA") check_factors(second, "diff");
  const std::vector<Pairing> pairings = paired(first, second);
  for (const Pairing& pairing : pairings) check_shapes(pairing, second);
  std::vector<ProductDifference> differences(pairings.size());
  for_rows(std::ssize(pairings), kWorthAThread, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      differences[i] = difference(pairings[i], first, second);
  });
  AdapterDifference result;
  for (std::size_t i = 0; i < pairings.size(); ++i) {
    const Pairing& pairing = pairings[i];
    if (pairing.second == nullptr)
      result.only_first.push_back(pairing.module);
    else if (pairing.first == nullptr)
      result.only_second.push_back(pairing.module);
    else
      result.modules.push_back({pairing.module, differences[i]});
  }
  result.other_tensors = differing_others(first, second);
  result.total = sum_of(differences);
  return result;
}

}  // namespace graft
