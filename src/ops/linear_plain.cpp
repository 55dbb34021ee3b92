#include <ATen/ATen.h>

#include <algorithm>

#include "ops/dropout.h"
#include "ops/linear_group.h"
#include "ops/norm.h"
#include "ops/swiglu.h"

namespace graft {
namespace {

// The rows of A of all adapted terms, rounded, under each other: [sum R, in].
at::Tensor stack_a(const variable_list& a, at::ScalarType dtype) {
  return (a.size() == 1 ? a.front() : at::cat(at::TensorList(a))).to(dtype);
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

at::Tensor dropped(const at::Tensor& h, const LinearGroupWork& group, std::size_t adapted) {
  return drop(h, *group.dropout, group.adapted_term(adapted).module);
}

// h A^T of every adapted term, side by side: [T, sum R].
at::Tensor times_a(const at::Tensor& h, const LinearGroupWork& group, const variable_list& a) {
  if (!group.dropout) return at::linear(h, stack_a(a, h.scalar_type()));
  std::vector<at::Tensor> columns;
  for (std::size_t i = 0; i < a.size(); ++i)
    columns.push_back(at::linear(dropped(h, group, i), a[i].to(h.scalar_type())));
  return at::cat(columns, 1);
}

// s dy B of every adapted term, side by side: [T, sum R].
at::Tensor times_b(const LinearGroupWork& group, const variable_list& dys, const variable_list& b,
                   const at::Tensor& h) {
  std::vector<at::Tensor> columns;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const auto& dy = dys[group.adapted[i]];
    columns.push_back(dy.defined() ? at::mm(dy, scaled_b(b[i], group.adapted_term(i), h.scalar_type()))
                                   : at::zeros({h.size(0), b[i].size(1)}, h.options()));
  }
  return at::cat(columns, 1);
}

// sum over the terms of dy W + (s dy B) A: [T,in]
at::Tensor input_gradient(const LinearGroupWork& group, const variable_list& dys, const at::Tensor& dyb,
                          const variable_list& a) {
  at::Tensor dh;
  for (std::size_t i = 0; i < dys.size(); ++i) {
    if (!dys[i].defined()) continue;
    const auto more = group.terms[i].weight->times(dys[i]);
    dh = dh.defined() ? dh.add_(more) : more;
  }
  if (!dyb.defined()) return dh;
  if (!group.dropout) return dh.addmm_(dyb, stack_a(a, dh.scalar_type()));
  const auto columns = split_ranks(dyb, a, 1);
  for (std::size_t i = 0; i < a.size(); ++i)
    dh.add_(dropped(at::mm(columns[i], a[i].to(dh.scalar_type())), group, i));
  return dh;
}

}  // namespace

LinearInputValues input_values(const LinearGroupWork& group, const LinearInputParts& parts) {
  if (parts.up.defined()) return {.h = swiglu_values(parts.x, parts.up), .rstd = {}};
  if (!group.norm_weight.defined()) return {.h = parts.x, .rstd = {}};
  auto normed = rms_norm_values(parts.x, group.norm_weight, group.norm_eps);
  return {.h = std::move(normed.y), .rstd = std::move(normed.rstd)};
}

void spread_gradient(const LinearGroupWork& group, const LinearInputParts& parts, const at::Tensor& rstd,
                     const at::Tensor& dh, LinearGroupGradients& to) {
  if (parts.up.defined())
    std::tie(to.x, to.up) = swiglu_gradients(parts.x, parts.up, dh);
  else
    to.x = rstd.defined() ? rms_norm_gradient(parts.x, group.norm_weight, rstd, dh) : dh;
}

LinearGroupValues plain_forward(const LinearGroupWork& group, const at::Tensor& h,
                                const LoraFactorLists& factors, const at::Tensor& residual) {
  LinearGroupValues values;
  for (const auto& term : group.terms) {
    values.ys.push_back(term.weight->times_transposed(h));
    if (term.bias.defined()) values.ys.back().add_(term.bias);
  }
  const auto gains = factors.gain_of_terms(group);
  if (!factors.a.empty()) {
    values.xa = times_a(h, group, factors.a);
    const auto columns = split_ranks(values.xa, factors.a, 1);
    for (std::size_t i = 0; i < factors.a.size(); ++i)
      values.ys[group.adapted[i]].addmm_(columns[i],
                                         scaled_b(factors.b[i], group.adapted_term(i), h.scalar_type()).t());
  }
  for (std::size_t i = 0; i < gains.size(); ++i)
    if (gains[i].defined()) values.ys[i] = (values.ys[i] * gains[i]).to(h.scalar_type());
  if (residual.defined()) values.ys.front().add_(residual);
  if (group.gated) values.gated = swiglu_values(values.ys[0], values.ys[1]);
  return values;
}

LinearGroupGradients plain_backward(const LinearGroupWork& group, const LinearInputParts& input,
                                    const at::Tensor& xa, const LoraFactorLists& factors,
                                    const variable_list& dys, LinearGradientsWanted wanted) {
  LinearGroupGradients gradients;
  const auto &a = factors.a, &b = factors.b;
  at::Tensor dyb;
  if (!a.empty()) dyb = times_b(group, dys, b, input.x);
  const auto [h, rstd] = input_values(group, input);
  if (wanted.input) spread_gradient(group, input, rstd, input_gradient(group, dys, dyb, a), gradients);
  if (!wanted.a && !wanted.b) return gradients;
  const auto dyb_columns = split_ranks(dyb, a, 1), xa_columns = split_ranks(xa, a, 1);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto& dy = dys[group.adapted[i]];
    gradients.a.emplace_back();
    gradients.b.emplace_back();
    if (!dy.defined()) continue;
    if (wanted.a)
      gradients.a.back() =
          at::mm(dyb_columns[i].t(), group.dropout ? dropped(h, group, i) : h).to(a[i].scalar_type());
    if (wanted.b)
      gradients.b.back() =
          at::mm(dy.t(), xa_columns[i]).to(b[i].scalar_type()).mul_(group.adapted_term(i).scale);
  }
  return gradients;
}

}  // namespace graft
