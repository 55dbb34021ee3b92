#include "adapters/difference.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

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
  check(a1.shape[1] == a2.shape[1] && b1.shape[0] == b2.shape[0], printable(second.file->path().string()),
        ": ", printable(pairing.module), ": got a module [", b2.shape[0], ", ", a2.shape[1], "], want [",
        b1.shape[0], ", ", a1.shape[1], "] as in the other adapter");
}

ProductDifference difference(const Pairing& pairing, const AdapterFolder& first,
                             const AdapterFolder& second) {
  const Path &where1 = first.file->path(), &where2 = second.file->path();
  if (pairing.first != nullptr && pairing.second != nullptr) {
    const FactorPair &one = *pairing.first, &other = *pairing.second;
    return difference_of(read_factor(*one.a, where1), read_factor(*one.b, where1), one.scale,
                         read_factor(*other.a, where2), read_factor(*other.b, where2), other.scale);
  }
  const bool is_first = pairing.first != nullptr;
  const FactorPair& lone = is_first ? *pairing.first : *pairing.second;
  const Path& where = is_first ? where1 : where2;
  const double norm =
      std::abs(lone.scale) * spectrum_of(read_factor(*lone.a, where), read_factor(*lone.b, where)).norm();
  return {.norm_first = is_first ? norm : 0.0, .norm_second = is_first ? 0.0 : norm, .norm = norm};
}

std::vector<std::string> differing_others(const AdapterFolder& first, const AdapterFolder& second) {
  std::map<std::string, const TensorView*> of_first;
  std::set<std::string> names;
  for (const TensorView* tensor : first.others) of_first[repaired_adapter_key(tensor->name)] = tensor;
  for (const auto& [name, tensor] : of_first) names.insert(name);
  for (const TensorView* tensor : second.others) {
    const std::string name = repaired_adapter_key(tensor->name);
    const auto other = of_first.find(name);
    const bool same = other != of_first.end() && other->second->dtype == tensor->dtype &&
                      other->second->shape == tensor->shape &&
                      std::ranges::equal(other->second->bytes, tensor->bytes);
    if (same)
      names.erase(name);
    else
      names.insert(name);
  }
  return {names.begin(), names.end()};
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

}  // namespace

AdapterDifference compare_adapters(const AdapterFolder& first, const AdapterFolder& second) {
  check_factors(first, "diff");
  check_factors(second, "diff");
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
