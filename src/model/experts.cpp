#include <ATen/ATen.h>

#include <utility>

#include "base/random.h"
#include "model/layers.h"
#include "ops/expert_rows.h"

namespace graft {
namespace {

/// {weights [T,k] in the type of `dtype`, chosen [T,k] int64}. Softmax and its share in fp32, as Hugging
/// Face's classes have it.
std::pair<at::Tensor, at::Tensor> choose(const at::Tensor& logits, std::int64_t per_token, bool normalized) {
  const at::Tensor probabilities = at::softmax(logits.to(at::kFloat), -1);
  auto [weights, chosen] = at::topk(probabilities, per_token, -1);
  if (normalized) weights = weights / weights.sum(-1, /*keepdim=*/true);
  return {weights.to(logits.scalar_type()), chosen};
}

/// A dropout key for each token of the pack, made of its example and its place there: the rows of an expert
/// lie apart from their neighbours.
std::vector<std::uint64_t> token_keys(const PackLayout& layout) {
  std::vector<std::uint64_t> keys;
  keys.reserve(static_cast<std::size_t>(layout.tokens()));
  for (std::size_t n = 0; n < layout.ids.size(); ++n)
    for (std::int64_t at = layout.starts[n]; at < layout.starts[n + 1]; ++at)
      keys.push_back(mix(layout.ids[n], static_cast<std::uint64_t>(at - layout.starts[n])));
  return keys;
}

/// Rows first … last-1 as a pack, each a sequence by itself.
PackLayout layout_of(const ExpertRows& rows, std::int64_t first, std::int64_t last,
                     const std::vector<std::uint64_t>& keys) {
  PackLayout layout{.starts = {0}, .ids = {}};
  for (std::int64_t row = first; row < last; ++row) {
    layout.starts.push_back(row - first + 1);
    layout.ids.push_back(keys[static_cast<std::size_t>(rows.tokens[static_cast<std::size_t>(row)])]);
  }
  return layout;
}

}  // namespace

at::Tensor Experts::forward(const LinearInput& input, const at::Tensor& residual, const Pass& pass) const {
  const at::Tensor h = input.value();  // [T,D]
  const auto [weights, chosen] = choose(router.forward(h, pass).front(), per_token, normalized);
  const ExpertRowsPtr rows = expert_rows(chosen, std::ssize(experts));
  const std::vector<at::Tensor> parts = gather_rows(h, rows).split_with_sizes(rows->sizes());
  const std::vector<std::uint64_t> keys =
      pass.dropout ? token_keys(pass.layout) : std::vector<std::uint64_t>();
  Pass part;
  part.dropout = pass.dropout;
  std::vector<at::Tensor> ys;
  for (std::size_t e = 0; e < experts.size(); ++e) {
    if (parts[e].size(0) == 0) continue;
    if (part.dropout) part.layout = layout_of(*rows, rows->starts[e], rows->starts[e + 1], keys);
    ys.push_back(experts[e].forward(parts[e], {}, part));
  }
  return combine_rows(ys.size() == 1 ? ys.front() : at::cat(ys), weights, residual, rows);
}

}  // namespace graft
