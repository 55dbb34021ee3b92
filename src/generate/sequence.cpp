#include "generate/sequence.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace graft {

at::Tensor read_on(const Decoder& model, std::span<Sequence* const> sequences) {
  const at::NoGradGuard no_grad;
  Pass pass;
  pass.layout.starts = {0};
  std::vector<std::int64_t> last;
  for (Sequence* sequence : sequences) {
    pass.layout.starts.push_back(pass.layout.starts.back() + sequence->unread());
    last.push_back(pass.layout.starts.back() - 1);
    pass.caches.push_back(&sequence->cache);
  }
  const at::Tensor fresh = at::empty({pass.layout.tokens()}, at::kLong);
  auto* out = fresh.mutable_data_ptr<std::int64_t>();
  for (const Sequence* sequence : sequences)
    out = std::copy(sequence->tokens.begin() + sequence->cache.length, sequence->tokens.end(), out);
  const at::Tensor hidden = model.hidden(fresh, std::move(pass));
  return model.logits(hidden.index_select(0, at::tensor(last, at::kLong)));
}

}  // namespace graft
