#include "peft/token_rows.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/error.h"

namespace graft {
namespace {

at::Tensor replaced(const std::vector<std::int64_t>& ids, const at::Tensor& trained, const at::Tensor& rows,
                    std::int64_t first) {
  at::Tensor result = rows.clone();
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] >= first && ids[i] < first + rows.size(0))
      result[ids[i] - first].copy_(trained[static_cast<std::int64_t>(i)]);
  return result;
}

}  // namespace

TokenRows::TokenRows(std::vector<std::int64_t> ids, at::Tensor rows)
    : ids_(std::move(ids)), rows_(std::move(rows)) {
  rows_.set_requires_grad(true);
}

std::vector<at::Tensor> TokenRows::forward(const LinearInput&, const std::vector<Linear>&, const Pass&,
                                           const LinearOutput&) const {
  fail(ExitCode::kInternal, kEmbeddingPath, ": an embedding's adapter multiplies nothing");
}

at::Tensor TokenRows::look_up(const FrozenWeight& embedding, const at::Tensor& ids) const {
  at::Tensor x = embedding.look_up(ids);
  std::vector<std::int64_t> places, from;
  const at::Tensor flat = ids.contiguous();
  const std::int64_t* token = flat.const_data_ptr<std::int64_t>();
  for (std::int64_t t = 0; t < flat.numel(); ++t)
    for (std::size_t i = 0; i < ids_.size(); ++i)
      if (token[t] == ids_[i]) {
        places.push_back(t);
        from.push_back(static_cast<std::int64_t>(i));
      }
  // Differentiable even where none of the tokens occurs.
  const at::Tensor rows = rows_.index_select(0, at::tensor(from, at::kLong)).to(x.scalar_type());
  return x.index_copy(0, at::tensor(places, at::kLong), rows);
}

std::vector<StoredTensor> TokenRows::stored() const { return {{kTokenRowsName, {rows_}}}; }

at::Tensor TokenRows::merge_into(const Linear& /*linear*/, const at::Tensor& rows, std::int64_t first) const {
  const at::NoGradGuard no_grad;
  return replaced(ids_, rows_, rows, first);
}

TokenRowsOfHead::TokenRowsOfHead(std::vector<std::int64_t> ids, at::Tensor rows)
    : ids_(std::move(ids)), rows_(std::move(rows)) {}

at::Tensor TokenRowsOfHead::forward(const LinearInput& input, const Linear& linear) const {
  const at::Tensor h = input.value(), y = graft::linear(h, linear.weight, linear.bias);
  const at::Tensor own = at::linear(h, rows_.to(h.scalar_type()));  // [T,n]
  return y.index_copy(1, at::tensor(ids_, at::kLong), own);
}

at::Tensor TokenRowsOfHead::merge_into(const Linear& /*linear*/, const at::Tensor& rows,
                                       std::int64_t first) const {
  return replaced(ids_, rows_, rows, first);
}

}  // namespace graft
