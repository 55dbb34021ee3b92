#include "adapters/tied_head.h"

#include <ATen/Functions.h>

#include <algorithm>

namespace graft {

const FactorPair* tied_embedding(const AdapterFolder& adapter, const FactorPair& pair) {
  const auto tied = adapter.view().find("ensure_weight_tying");
  if (!tied || !tied->as_bool() || pair.of_embedding || last_name(pair.module) != "lm_head") return nullptr;
  const auto other = std::find_if(adapter.pairs.begin(), adapter.pairs.end(),
                                  [](const FactorPair& one) { return one.of_embedding; });
  const bool fits = other != adapter.pairs.end() && pair.a->shape[0] == other->a->shape[0] &&
                    pair.a->shape[1] == other->b->shape[0] && pair.b->shape[0] == other->a->shape[1];
  if (!fits) return nullptr;
  const bool same = at::equal(read_values(*pair.a), read_values(*other->b).t()) &&
                    at::equal(read_values(*pair.b), read_values(*other->a).t());
  return same ? &*other : nullptr;
}

}  // namespace graft
