#include "ops/linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

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
  std::vector<LoraTerm> terms;        // a and b undefined: they are saved variables
  std::vector<std::int64_t> adapted;  // indices of the terms that have a and b
  std::optional<LoraDropout> dropout;
};

// The rows of A of all adapted terms, rounded to x's type, under each other: [sum R, in].
at::Tensor stack_a(const variable_list& a, at::ScalarType dtype) {
  std::vector<at::Tensor> rounded;
  for (const auto& each : a) rounded.push_back(each.to(dtype));
  return rounded.size() == 1 ? rounded.front() : at::cat(rounded);
}

// Columns [first, first+width) for every adapted term in order.
std::vector<at::Tensor> split_ranks(const at::Tensor& stacked, const variable_list& a, std::int64_t dim) {
  std::vector<std::int64_t> ranks;
  for (const auto& each : a) ranks.push_back(each.size(0));
  return stacked.split_with_sizes(ranks, dim);
}

// x A^T of every adapted term, side by side: [T, sum R].
at::Tensor times_a(const at::Tensor& x, const Group& group, const variable_list& a) {
  if (!group.dropout) return at::linear(x, stack_a(a, x.scalar_type()));
  std::vector<at::Tensor> columns;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto module = group.terms[group.adapted[i]].module;
    columns.push_back(at::linear(drop(x, *group.dropout, module), a[i].to(x.scalar_type())));
  }
  return columns.size() == 1 ? columns.front() : at::cat(columns, 1);
}

// The gradients of one group, made from those of its outputs.
class GroupBackward {
 public:
  GroupBackward(const Group& group, const variable_list& saved, const variable_list& dys)
      : group_(group), dys_(dys) {
    if (saved.empty()) return;
    const auto n = group.adapted.size();
    x_ = saved[0];
    xa_ = saved[1];
    a_.assign(saved.begin() + 2, saved.begin() + 2 + n);
    b_.assign(saved.begin() + 2 + n, saved.end());
    for (std::size_t i = 0; i < n; ++i) dybs_.push_back(times_b(i));
  }

  // [T,in]: sum over the terms of dy W + (s dy B) A.
  at::Tensor dx() const {
    at::Tensor dx;
    for (std::size_t i = 0; i < group_.terms.size(); ++i) {
      if (!dys_[i].defined()) continue;
      if (dx.defined())
        group_.terms[i].weight->add_times(dys_[i], dx);
      else
        dx = group_.terms[i].weight->times(dys_[i]);
    }
    for (std::size_t i = 0; i < a_.size(); ++i) {
      if (!dybs_[i].defined()) continue;
      const auto a = a_[i].to(dx.scalar_type());
      if (group_.dropout)
        dx.add_(drop(at::mm(dybs_[i], a), *group_.dropout, term(i).module));
      else
        dx.addmm_(dybs_[i], a);
    }
    return dx;
  }

  // [R,in] = (s dy B)^T drop(x)
  at::Tensor da(std::size_t i) const {
    if (!dybs_[i].defined()) return {};
    const auto x = group_.dropout ? drop(x_, *group_.dropout, term(i).module) : x_;
    return at::mm(dybs_[i].t(), x).to(a_[i].scalar_type());
  }

  // [out,R] = s dy^T (x A^T)
  at::Tensor db(std::size_t i) const {
    const auto& dy = dys_[group_.adapted[i]];
    if (!dy.defined()) return {};
    return at::mm(dy.t(), split_ranks(xa_, a_, 1)[i]).to(b_[i].scalar_type()).mul_(term(i).scale);
  }

 private:
  const LoraTerm& term(std::size_t i) const { return group_.terms[group_.adapted[i]]; }

  // s dy B [T,R]
  at::Tensor times_b(std::size_t i) const {
    const auto& dy = dys_[group_.adapted[i]];
    if (!dy.defined()) return {};
    return at::mm(dy, b_[i].to(dy.scalar_type())).mul_(term(i).scale);
  }

  const Group& group_;
  const variable_list& dys_;
  at::Tensor x_, xa_;    // [T,in], [T,sum R]
  variable_list a_, b_;  // masters
  std::vector<at::Tensor> dybs_;
};

struct LoraLinear : torch::autograd::Function<LoraLinear> {
  // trained: every a, then every b.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, at::TensorList trained,
                               const std::shared_ptr<const Group>& group) {
    ctx->set_materialize_grads(false);
    ctx->saved_data["group"] = hold(group);
    const auto n = group->adapted.size();
    const variable_list a(trained.begin(), trained.begin() + n), b(trained.begin() + n, trained.end());
    variable_list ys;
    for (const auto& term : group->terms) {
      ys.push_back(term.weight->times_transposed(x));
      if (term.bias.defined()) ys.back().add_(term.bias);
    }
    if (n == 0) return ys;
    const auto xa = times_a(x, *group, a);
    const auto columns = split_ranks(xa, a, 1);
    for (std::size_t i = 0; i < n; ++i) {
      const auto& term = group->terms[group->adapted[i]];
      ys[group->adapted[i]].addmm_(columns[i], b[i].to(x.scalar_type()).t(), 1, term.scale);
    }
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
    for (std::size_t i = 0; i < n; ++i) {
      if (ctx->needs_input_grad(1 + i)) result[1 + i] = gradients.da(i);
      if (ctx->needs_input_grad(1 + n + i)) result[1 + n + i] = gradients.db(i);
    }
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
    group->adapted.push_back(static_cast<std::int64_t>(i));
    trained.push_back(std::exchange(term.a, {}));
    bs.push_back(std::exchange(term.b, {}));
  }
  trained.insert(trained.end(), bs.begin(), bs.end());
  return LoraLinear::apply(x, at::TensorList(trained), std::shared_ptr<const Group>(std::move(group)));
}

}  // namespace graft
