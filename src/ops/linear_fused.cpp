#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/cpu/tile_kernels.h"
#include "ops/dropout.h"
#include "ops/linear_group.h"
#include "ops/norm.h"
#include "ops/product.h"
#include "ops/tile_rows.h"
#include "ops/work_scope.h"

namespace graft {
namespace {

// Depths of products are even, so that pairs of rows can be interleaved: odd ranks get a column of zeros.
std::int64_t even(std::int64_t n) { return n + n % 2; }
// Depths of sums over tokens are rounded up to this: each depth is a kernel that the machine compiles.
constexpr std::int64_t kTokenUnit = 256;

// Where the ranks of each adapted term lie in what is stacked by rank.
class RankColumns {
 public:
  explicit RankColumns(const variable_list& a) {
    for (const auto& each : a) {
      first_.push_back(total_);
      rank_.push_back(each.size(0));
      total_ += even(each.size(0));
    }
  }
  std::int64_t total() const { return total_; }
  std::int64_t rank(std::size_t i) const { return rank_[i]; }
  bool any_odd() const {
    return std::any_of(rank_.begin(), rank_.end(), [](std::int64_t rank) { return rank % 2 != 0; });
  }
  at::Tensor of(const at::Tensor& stacked, std::size_t i, std::int64_t dim) const {
    return stacked.narrow(dim, first_[i], even(rank_[i]));
  }

 private:
  std::vector<std::int64_t> first_, rank_;
  std::int64_t total_ = 0;
};

// A of all adapted terms as bf16, under each other, [total,in].
at::Tensor stack_a(const variable_list& a, const RankColumns& ranks) {
  const auto options = a.front().options().dtype(at::kBFloat16);
  const std::array<std::int64_t, 2> shape{ranks.total(), a.front().size(1)};
  const auto stacked = ranks.any_odd() ? at::zeros(shape, options) : at::empty(shape, options);
  for (std::size_t i = 0; i < a.size(); ++i) ranks.of(stacked, i, 0).narrow(0, 0, ranks.rank(i)).copy_(a[i]);
  return stacked;
}

// s B [out,R] as bf16.
at::Tensor scaled_b(const at::Tensor& b, const LoraTerm& term) {
  return (term.scale == 1.0 ? b : b * term.scale).to(at::kBFloat16);
}

// [T,total] bf16, whose spare columns are 0.
at::Tensor rank_columns(std::int64_t tokens, const RankColumns& ranks) {
  const auto options = at::TensorOptions().dtype(at::kBFloat16);
  const std::array<std::int64_t, 2> shape{tokens, ranks.total()};
  return ranks.any_odd() ? at::zeros(shape, options) : at::empty(shape, options);
}

// [total, T rounded up] bf16 for what is summed up over tokens, zeros behind them; and in spare rows.
at::Tensor rank_rows(std::int64_t tokens, const RankColumns& ranks) {
  const auto depth = (tokens + kTokenUnit - 1) / kTokenUnit * kTokenUnit;
  const auto options = at::TensorOptions().dtype(at::kBFloat16);
  if (ranks.any_odd()) return at::zeros({ranks.total(), depth}, options);
  auto rows = at::empty({ranks.total(), depth}, options);
  if (depth > tokens) rows.narrow(1, tokens, depth - tokens).zero_();
  return rows;
}

double flops_of(const LinearGroupWork& group, std::int64_t tokens) {
  double weights = 0;
  for (const auto& term : group.terms)
    weights += static_cast<double>(term.weight->in_features() * term.weight->out_features());
  return 2.0 * static_cast<double>(tokens) * weights;
}

// What ranks of the adapted terms give per token, side by side [T,total], and its transpose [total, T rounded
// up], which the gradients of factors sum over tokens.
struct RankValues {
  at::Tensor columns, rows;
};

// h A^T of every adapted term into xa.
std::vector<Product> times_a(const LinearGroupWork& group, const at::Tensor& h, const at::Tensor& a,
                             const RankColumns& ranks, const RankValues& xa) {
  const auto product = [&](const at::Tensor& left, const at::Tensor& factor, const RankValues& to) {
    return Product{.rows = to.columns.size(0),
                   .columns = to.columns.size(1),
                   .parts = {{{left, matrix_of(factor), Side::kTransposed}}},
                   .finish = round_both_ways_to(to.columns, to.rows)};
  };
  if (!group.dropout) return {product(h, a, xa)};
  std::vector<Product> products;
  for (std::size_t i = 0; i < group.adapted.size(); ++i)
    products.push_back(product(drop(h, *group.dropout, group.adapted_term(i).module), ranks.of(a, i, 0),
                               {ranks.of(xa.columns, i, 1), ranks.of(xa.rows, i, 0)}));
  return products;
}

// h W^T + (h A^T) (s B)^T of every term.
std::vector<std::vector<ProductTerm>> output_terms(const LinearGroupWork& group, const at::Tensor& h,
                                                   const at::Tensor& xa, const RankColumns& ranks,
                                                   const variable_list& b) {
  std::vector<std::vector<ProductTerm>> terms;
  for (const auto& term : group.terms) terms.push_back({{h, term.weight->matrix(), Side::kTransposed}});
  for (std::size_t i = 0; i < b.size(); ++i)
    terms[group.adapted[i]].push_back(
        {ranks.of(xa, i, 1), matrix_of(scaled_b(b[i], group.adapted_term(i))), Side::kTransposed});
  return terms;
}

// Gradients of one group from those of its outputs.
class FusedBackward {
 public:
  FusedBackward(const LinearGroupWork& group, const LinearInputParts& input, const at::Tensor& xa,
                const LoraFactorLists& factors, const variable_list& dys)
      : group_(group),
        input_(input),
        xa_(xa),
        factors_(factors),
        ranks_(factors.a),
        tokens_(input.x.size(0)) {
    for (const auto& dy : dys) dys_.push_back(dy.defined() ? dy.contiguous() : dy);
    if (factors.a.empty()) return;
    a_ = stack_a(factors.a, ranks_);
    dyb_ = {rank_columns(tokens_, ranks_), rank_rows(tokens_, ranks_)};
    if (auto products = times_b(); !products.empty()) stages_ = {std::move(products)};
  }

  // Leaves in h_ the input as it was, where the product's end has it anyway.
  void input_gradient(LinearGroupGradients& to) {
    const WorkScope scope(Work::kBaseProduct, {.flops = flops_of(group_, tokens_)});
    std::vector<ProductTerm> terms;
    for (std::size_t i = 0; i < dys_.size(); ++i)
      if (dys_[i].defined()) terms.push_back({dys_[i], group_.terms[i].weight->matrix(), Side::kAsStored});
    const bool dropped = group_.dropout.has_value() && dyb_.columns.defined();
    if (dyb_.columns.defined() && !dropped) terms.push_back({dyb_.columns, matrix_of(a_), Side::kAsStored});
    Product product{.rows = tokens_, .columns = input_.x.size(1), .parts = {std::move(terms)}};
    if (input_.up.defined() && !dropped) return gated_gradient(std::move(product), to);
    const auto dh = at::empty_like(input_.x);
    product.finish = round_to(dh);
    run_with(std::move(product));
    if (dropped) add_dropped(dh);
    make_input();
    spread_gradient(group_, input_, rstd_, dh, to);
  }

  void factor_gradients(LinearGroupGradients& to, LinearGradientsWanted wanted) {
    const WorkScope scope(Work::kLora);
    if (!stages_.empty()) run_stages(std::exchange(stages_, {}));
    const auto n = factors_.a.size();
    to.a.resize(n), to.b.resize(n);
    std::vector<Product> products;
    if (wanted.a) make_input();
    if (wanted.a && !group_.dropout) {
      const auto da = at::empty({ranks_.total(), input_.x.size(1)}, at::kFloat);
      products.push_back(sum_over_tokens(dyb_.rows, h_, copy_to(da)));
      for (std::size_t i = 0; i < n; ++i)
        if (dy(i).defined()) to.a[i] = ranks_.of(da, i, 0).narrow(0, 0, ranks_.rank(i));
    }
    for (std::size_t i = 0; i < n; ++i) {
      if (!dy(i).defined()) continue;
      const auto rank = ranks_.rank(i);
      const auto& term = group_.adapted_term(i);
      if (wanted.a && group_.dropout) {
        to.a[i] = at::empty({rank, input_.x.size(1)}, at::kFloat);
        products.push_back(sum_over_tokens(ranks_.of(dyb_.rows, i, 0).narrow(0, 0, rank),
                                           drop(h_, *group_.dropout, term.module), copy_to(to.a[i])));
      }
      if (!wanted.b) continue;
      to.b[i] = at::empty({dy(i).size(1), rank}, at::kFloat);
      products.push_back(sum_over_tokens(ranks_.of(xa_, i, 0).narrow(0, 0, rank), dy(i),
                                         copy_transposed_to(to.b[i], static_cast<float>(term.scale))));
    }
    if (!products.empty()) run_products(products);
  }

 private:
  const at::Tensor& dy(std::size_t i) const { return dys_[group_.adapted[i]]; }

  // rows [n, T rounded up] times values [T,width]
  static Product sum_over_tokens(const at::Tensor& rows, const at::Tensor& values,
                                 std::function<void(const Tile*)> finish) {
    return {.rows = rows.size(0),
            .columns = values.size(1),
            .parts = {{{rows, matrix_of(values), Side::kAsStored}}},
            .finish = std::move(finish)};
  }

  // s dy B of every adapted term, side by side, into dyb_.
  std::vector<Product> times_b() const {
    std::vector<Product> products;
    for (std::size_t i = 0; i < factors_.b.size(); ++i) {
      const auto& dy = dys_[group_.adapted[i]];
      const RankValues to{ranks_.of(dyb_.columns, i, 1), ranks_.of(dyb_.rows, i, 0)};
      if (!dy.defined()) {
        to.columns.zero_(), to.rows.zero_();
        continue;
      }
      const auto rank = ranks_.rank(i);
      products.push_back(
          {.rows = tokens_,
           .columns = rank,
           .parts = {{{dy, matrix_of(scaled_b(factors_.b[i], group_.adapted_term(i))), Side::kAsStored}}},
           .finish = round_both_ways_to(to.columns.narrow(1, 0, rank), to.rows.narrow(0, 0, rank))});
    }
    return products;
  }

  // The products of the input's gradient behind those that they read.
  void run_with(Product product) {
    auto stages = std::exchange(stages_, {});
    stages.push_back({std::move(product)});
    run_stages(stages);
  }

  // The backward of a gate makes it on its way; else it is made when it is first needed.
  void make_input() {
    if (h_.defined()) return;
    auto values = input_values(group_, input_);
    h_ = std::move(values.h), rstd_ = std::move(values.rstd);
  }

  void gated_gradient(Product product, LinearGroupGradients& to) {
    // In place where nobody reads gate and up after their gradients are known.
    const bool kept = group_.gate_memory == GateMemory::kKept;
    to.x = kept ? at::empty_like(input_.x) : input_.x.detach();
    to.up = kept ? at::empty_like(input_.up) : input_.up.detach();
    h_ = at::empty_like(input_.x);
    product.finish = [&](const Tile* tile) {
      tile_kernels().swiglu_backward(tile->sums, tile->width, rows_to_read(input_.x, *tile),
                                     rows_to_read(input_.up, *tile), rows_to_write(to.x, *tile),
                                     rows_to_write(to.up, *tile), rows_to_write(h_, *tile));
    };
    product.touched = {input_.x, input_.up};
    run_with(std::move(product));
  }

  void add_dropped(const at::Tensor& dh) const {
    for (std::size_t i = 0; i < factors_.a.size(); ++i)
      dh.add_(drop(at::mm(ranks_.of(dyb_.columns, i, 1), ranks_.of(a_, i, 0)), *group_.dropout,
                   group_.adapted_term(i).module));
  }

  const LinearGroupWork& group_;
  const LinearInputParts& input_;
  const at::Tensor& xa_;
  const LoraFactorLists& factors_;
  RankColumns ranks_;
  std::int64_t tokens_;
  variable_list dys_;
  at::Tensor a_;  // [total,in]
  RankValues dyb_;
  at::Tensor h_, rstd_;                       // [T,in], [T]
  std::vector<std::vector<Product>> stages_;  // still to be run, before dyb_ is read
};

}  // namespace

bool suits_fused(const LinearGroupWork& group, const at::Tensor& h) {
  return std::all_of(group.terms.begin(), group.terms.end(),
                     [&](const LoraTerm& term) { return term.weight->suits(h); });
}

LinearGroupValues fused_forward(const LinearGroupWork& group, const at::Tensor& h,
                                const LoraFactorLists& factors, const at::Tensor& residual) {
  LinearGroupValues values;
  const RankColumns ranks(factors.a);
  const WorkScope scope(Work::kBaseProduct, {.flops = flops_of(group, h.size(0))});
  std::vector<std::vector<Product>> stages;
  at::Tensor xa_columns;
  if (!factors.a.empty()) {
    const RankValues xa{at::empty({h.size(0), ranks.total()}, h.options()), rank_rows(h.size(0), ranks)};
    stages.push_back(times_a(group, h, stack_a(factors.a, ranks), ranks, xa));
    xa_columns = xa.columns, values.xa = xa.rows;
  }
  auto terms = output_terms(group, h, xa_columns, ranks, factors.b);
  const auto gains = factors.gain_of_terms(group);
  for (const auto& term : group.terms)
    values.ys.push_back(at::empty({h.size(0), term.weight->out_features()}, h.options()));
  std::vector<Product> products;
  if (group.gated) {
    values.gated = at::empty_like(values.ys[0]);
    products.push_back({.rows = h.size(0), .columns = values.gated.size(1), .parts = std::move(terms)});
    products[0].finish = [&](const Tile* parts) {
      tile_kernels().swiglu(parts[0].sums, parts[1].sums, parts[0].width,
                            columns_at(group.terms[0].bias, *parts), columns_at(group.terms[1].bias, *parts),
                            rows_to_write(values.ys[0], *parts), rows_to_write(values.ys[1], *parts),
                            rows_to_write(values.gated, *parts));
    };
    products[0].finish = times_columns(gains, std::move(products[0].finish));
    products[0].touched = {values.ys[0], values.ys[1], values.gated};
  } else {
    for (std::size_t i = 0; i < terms.size(); ++i)
      products.push_back(
          {.rows = h.size(0),
           .columns = values.ys[i].size(1),
           .parts = {std::move(terms[i])},
           .finish = times_columns({gains[i]}, round_to(values.ys[i], group.terms[i].bias, residual)),
           .touched = {values.ys[i]}});
  }
  stages.push_back(std::move(products));
  run_stages(stages);
  return values;
}

LinearGroupGradients fused_backward(const LinearGroupWork& group, const LinearInputParts& input,
                                    const at::Tensor& xa, const LoraFactorLists& factors,
                                    const variable_list& dys, LinearGradientsWanted wanted) {
  LinearGroupGradients gradients;
  FusedBackward backward(group, input, xa, factors, dys);
  if (wanted.input) backward.input_gradient(gradients);
  if (wanted.a || wanted.b) backward.factor_gradients(gradients, wanted);
  return gradients;
}

}  // namespace graft
