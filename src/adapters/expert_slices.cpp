#include "adapters/expert_slices.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

namespace graft {

Factors read_factors(const FactorPair& pair, const Path& where) {
  return {read_factor(*pair.a, where), read_factor(*pair.b, where)};
}

SliceLayout layout_of(const FactorPair& pair, std::int64_t r, const Path& where) {
  SliceLayout layout{.experts = pair.experts};
  const std::int64_t rank = pair.rank(), out = pair.b->shape[0];
  if (pair.experts == 1 || rank != 2 * r || out % 2 != 0) return layout;
  const at::Tensor b = read_factor(*pair.b, where).view({out, rank, pair.experts});
  const auto any = [&](std::int64_t row, std::int64_t column) {
    return at::any(b.narrow(0, row, out / 2).narrow(1, column, r).ne(0)).item<bool>();
  };
  layout.side_by_side = !any(0, r) && !any(out / 2, 0);
  return layout;
}

std::vector<Factors> slices_of(const Factors& whole, const SliceLayout& layout) {
  if (layout == SliceLayout{}) return {whole};
  const std::int64_t out = whole.b.size(0), rank = whole.a.size(0) / layout.experts;
  const std::int64_t parts = layout.halves(), rows = out / parts, r = rank / parts;
  const at::Tensor a = whole.a.view({layout.experts, rank, whole.a.size(1)});
  const at::Tensor b = whole.b.view({out, rank, layout.experts}).permute({2, 0, 1});  // [X,out,R]
  std::vector<Factors> slices;
  for (std::int64_t e = 0; e < layout.experts; ++e)
    for (std::int64_t part = 0; part < parts; ++part)
      slices.push_back({a[e].narrow(0, part * r, r).contiguous(),
                        b[e].narrow(0, part * rows, rows).narrow(1, part * r, r).contiguous()});
  return slices;
}

Factors joined(const std::vector<Factors>& slices, const SliceLayout& layout) {
  if (layout == SliceLayout{}) return slices.front();
  const std::int64_t rows = slices.front().b.size(0), r = slices.front().a.size(0);
  const std::int64_t parts = layout.halves();
  std::vector<at::Tensor> a;
  at::Tensor b = at::zeros({parts * rows, parts * r, layout.experts}, slices.front().b.options());
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const auto expert = static_cast<std::int64_t>(i) / parts, part = static_cast<std::int64_t>(i) % parts;
    a.push_back(slices[i].a);
    b.select(2, expert).narrow(0, part * rows, rows).narrow(1, part * r, r).copy_(slices[i].b);
  }
  return {at::cat(a, 0), b.view({parts * rows, parts * r * layout.experts})};
}

}  // namespace graft
