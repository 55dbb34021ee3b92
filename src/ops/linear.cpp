#include "ops/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>

#include "ops/dropout.h"
#include "ops/held.h"

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What a group of linears does, without its tensors that train.
struct Group {
  std::vector<LoraTerm> terms;       // a and b undefined: they are saved variables
  std::vector<std::size_t> adapted;  // indices of the terms that have a and b
  std::optional<LoraDropout> dropout;

  const LoraTerm& adapted_term(std::size_t i) const { return terms[adapted[i]]; }
};

// The rows of A of all adapted terms, rounded, under each other: [sum R, in].
at::Tensor stack_a(const variable_list& a, at::ScalarType dtype) {
  if (a.size() == 1) return a.front().to(dtype);
  std::int64_t ranks = 0;
  for (const auto& each : a) ranks += each.size(0);
  const auto stacked = at::empty({ranks, a.front().size(1)}, a.front().options().dtype(dtype));
  std::int64_t first = 0;
  for (const auto& each : a) {
    stacked.narrow(0, first, each.size(0)).copy_(each);
    first += each.size(0);
  }
  return stacked;
}

// s B [out,R], rounded.
at::Tensor scaled_b(const at::Tensor& b, const LoraTerm& term, at::ScalarType dtype) {
  return (term.scale == 1.0 ? b : b * term.scale).to(dtype);
}

// The adapted terms' parts of what is stacked by rank along `dim`.
std::vector<at::Tensor> split_ranks(const at::Tensor& stacked, const variable_list& a, std::int64_t dim) {
  std::vector<std::int64_t> ranks;
  for (const auto& each : a) ranks.push_back(each.size(0));
  return stacked.split_with_sizes(ranks, dim);
}

at::Tensor side_by_side(const std::vector<at::Tensor>& columns) {
  return columns.size() == 1 ? columns.front() : at::cat(columns, 1);
}

// x A^T of every adapted term, side by side: [T, sum R].
at::Tensor times_a(const at::Tensor& x, const Group& group, const variable_list& a) {
  if (!group.dropout) return at::linear(x, stack_a(a, x.scalar_type()));
  std::vector<at::Tensor> columns;
  for (std::size_t i = 0; i < a.size(); ++i)
    columns.push_back(
        at::linear(drop(x, *group.dropout, group.adapted_term(i).module), a[i].to(x.scalar_type())));
  return side_by_side(columns);
}

// Gradients of one group from those of its outputs. Undefined dys count as 0.
class GroupBackward {
 public:
  GroupBackward(const Group& group, const variable_list& saved, const variable_list& dys)
      : group_(group), dys_(dys) {
    if (saved.empty()) return;
    const auto n = static_cast<std::ptrdiff_t>(group.adapted.size());
    x_ = saved[0];
    xa_ = saved[1];
    a_.assign(saved.begin() + 2, saved.begin() + 2 + n);
    b_.assign(saved.begin() + 2 + n, saved.end());
    std::vector<at::Tensor> columns;
    for (std::size_t i = 0; i < a_.size(); ++i)
      columns.push_back(dy(i).defined()
                            ? at::mm(dy(i), scaled_b(b_[i], group.adapted_term(i), x_.scalar_type()))
                            : at::zeros({x_.size(0), b_[i].size(1)}, x_.options()));
    dyb_ = side_by_side(columns);
  }

  // sum over the terms of dy W + (s dy B) A: [T,in]
  at::Tensor dx() const {
    at::Tensor dx;
    for (std::size_t i = 0; i < group_.terms.size(); ++i) {
      if (!dys_[i].defined()) continue;
      if (dx.defined())
        group_.terms[i].weight->add_times(dys_[i], dx);
      else
        dx = group_.terms[i].weight->times(dys_[i]);
    }
    if (!dyb_.defined() || !dx.defined()) return dx;
    if (!group_.dropout) return dx.addmm_(dyb_, stack_a(a_, dx.scalar_type()));
    const auto columns = split_ranks(dyb_, a_, 1);
    for (std::size_t i = 0; i < a_.size(); ++i)
      dx.add_(drop(at::mm(columns[i], a_[i].to(dx.scalar_type())), *group_.dropout,
                   group_.adapted_term(i).module));
    return dx;
  }

  // Per adapted term (s dy B)^T drop(x): [R,in]
  std::vector<at::Tensor> das() const {
    std::vector<at::Tensor> das;
    if (!group_.dropout) {
      das = split_ranks(at::mm(dyb_.t(), x_).to(a_.front().scalar_type()), a_, 0);
    } else {
      const auto columns = split_ranks(dyb_, a_, 1);
      for (std::size_t i = 0; i < a_.size(); ++i)
        das.push_back(at::mm(columns[i].t(), drop(x_, *group_.dropout, group_.adapted_term(i).module))
                          .to(a_[i].scalar_type()));
    }
    for (std::size_t i = 0; i < das.size(); ++i)
      if (!dy(i).defined()) das[i].reset();
    return das;
  }

  // s dy^T (x A^T): [out,R]
  at::Tensor db(std::size_t i) const {
    if (!dy(i).defined()) return {};
    const auto db = at::mm(dy(i).t(), split_ranks(xa_, a_, 1)[i]).to(b_[i].scalar_type());
    const auto scale = group_.adapted_term(i).scale;
    return scale == 1.0 ? db : db.mul_(scale);
  }

 private:
  const at::Tensor& dy(std::size_t i) const { return dys_[group_.adapted[i]]; }

  const Group& group_;
  const variable_list& dys_;
  at::Tensor x_, xa_;    // [T,in], [T,sum R]
  variable_list a_, b_;  // masters
  at::Tensor dyb_;       // s dy B of the adapted terms, side by side: [T,sum R]
};

struct LoraLinear : torch::autograd::Function<LoraLinear> {
  // trained: every a, then every b.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, at::TensorList trained,
                               const std::shared_ptr<const Group>& group) {
    ctx->set_materialize_grads(false);
    ctx->saved_data["group"] = hold(group);
    const auto n = static_cast<std::ptrdiff_t>(group->adapted.size());
    const variable_list a(trained.begin(), trained.begin() + n), b(trained.begin() + n, trained.end());
    variable_list ys;
    for (const auto& term : group->terms) {
      ys.push_back(term.weight->times_transposed(x));
      if (term.bias.defined()) ys.back().add_(term.bias);
    }
    if (n == 0) return ys;
    const auto xa = times_a(x, *group, a);
    const auto columns = split_ranks(xa, a, 1);
    for (std::size_t i = 0; i < a.size(); ++i)
      ys[group->adapted[i]].addmm_(columns[i], scaled_b(b[i], group->adapted_term(i), x.scalar_type()).t());
    variable_list saved{x, xa};
    saved.insert(saved.end(), trained.begin(), trained.end());
    ctx->save_for_backward(std::move(saved));
    return ys;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dys) {
    const auto group = held<std::shared_ptr<const Group>>(ctx->saved_data["group"]);
    const auto n = group->adapted.size();
    const GroupBackward gradients(*group, ctx->get_saved_variables(), dys);
    variable_list result(2 + 2 * n);
    if (ctx->needs_input_grad(0)) result[0] = gradients.dx();
    if (n > 0 && ctx->needs_input_grad({{1, 1 + n}})) {
      const auto das = gradients.das();
      std::copy(das.begin(), das.end(), result.begin() + 1);
    }
    for (std::size_t i = 0; i < n; ++i)
      if (ctx->needs_input_grad(1 + n + i)) result[1 + n + i] = gradients.db(i);
    return result;
  }
};

}  // namespace

at::Tensor linear(const at::Tensor& x, const FrozenWeightPtr& weight, const at::Tensor& bias) {
  return lora_linear(x, {LoraTerm{.weight = weight, .bias = bias}}, std::nullopt).front();
}

std::vector<at::Tensor> lora_linear(const at::Tensor& x, const std::vector<LoraTerm>& terms,
                                    const std::optional<LoraDropout>& dropout) {
  auto group = std::make_shared<Group>();
  group->terms = terms;
  if (dropout && dropout->probability > 0) group->dropout = dropout;
  std::vector<at::Tensor> trained, bs;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    auto& term = group->terms[i];
    assert(x.dim() == 2 && term.weight->in_features() == x.size(1) && term.a.defined() == term.b.defined());
    if (!term.a.defined()) continue;
    group->adapted.push_back(i);
    trained.push_back(std::exchange(term.a, {}));
    bs.push_back(std::exchange(term.b, {}));
  }
  trained.insert(trained.end(), bs.begin(), bs.end());
  return LoraLinear::apply(x.contiguous(), at::TensorList(trained),
                           std::shared_ptr<const Group>(std::move(group)));
}

}  // namespace graft
