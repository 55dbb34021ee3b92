#include "ops/expert_rows.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cassert>
#include <span>

#include "kernels/half.h"
#include "ops/held.h"
#include "ops/kernel_types.h"
#include "ops/parallel.h"

namespace graft {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

float wide(float value) { return value; }
double wide(double value) { return value; }
float wide(Bf16 value) { return f32_of_bf16(value.bits); }
void narrow(float value, float& to) { to = value; }
void narrow(double value, double& to) { to = value; }
void narrow(float value, Bf16& to) { to.bits = bf16_of_f32(value); }

/// sums [width] += factor * row
template <class T>
void add_row(const T* row, SumOf<T> factor, std::int64_t width, SumOf<T>* sums) {
  for (std::int64_t i = 0; i < width; ++i) sums[i] += factor * wide(row[i]);
}

/// y [T,D] = residual + sum over a token's rows of weight * row. weights: nullptr counts each as 1.
template <class T>
void sum_rows(const T* ys, const T* weights, const T* residual, const ExpertRows& rows, std::int64_t width,
              T* y) {
  const std::int64_t k = rows.per_token;
  for_rows(rows.count() / k, (k + 2) * width, [&](std::int64_t first, std::int64_t last) {
    std::vector<SumOf<T>> sums(static_cast<std::size_t>(width));
    for (std::int64_t token = first; token < last; ++token) {
      std::fill(sums.begin(), sums.end(), SumOf<T>(0));
      for (std::int64_t choice = token * k; choice < (token + 1) * k; ++choice)
        add_row(ys + rows.rows[static_cast<std::size_t>(choice)] * width,
                weights ? wide(weights[choice]) : SumOf<T>(1), width, sums.data());
      if (residual) add_row(residual + token * width, SumOf<T>(1), width, sums.data());
      for (std::int64_t i = 0; i < width; ++i)
        narrow(sums[static_cast<std::size_t>(i)], y[token * width + i]);
    }
  });
}

at::Tensor summed(const at::Tensor& ys, const at::Tensor& weights, const at::Tensor& residual,
                  const ExpertRows& rows) {
  const std::int64_t width = ys.size(1);
  at::Tensor y = at::empty({rows.count() / rows.per_token, width}, ys.options());
  with_kernel_type(ys.scalar_type(), [&](auto type) {
    using T = decltype(type);
    sum_rows<T>(read_from<T>(ys), weights.defined() ? read_from<T>(weights) : nullptr,
                residual.defined() ? read_from<T>(residual) : nullptr, rows, width, write_to<T>(y));
  });
  return y;
}

/// dys[row] = weight * dy[token], and dweight = the product of dy[token] and the row.
template <class T>
void spread_rows(const T* dy, const T* ys, const T* weights, const ExpertRows& rows, std::int64_t width,
                 T* dys, T* dweights) {
  const std::int64_t k = rows.per_token;
  for_rows(rows.count() / k, 3 * k * width, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t choice = first * k; choice < last * k; ++choice) {
      const std::int64_t row = rows.rows[static_cast<std::size_t>(choice)] * width;
      const T* gradient = dy + choice / k * width;
      const SumOf<T> weight = wide(weights[choice]);
      SumOf<T> product = 0;
      for (std::int64_t i = 0; i < width; ++i) {
        product += wide(gradient[i]) * wide(ys[row + i]);
        narrow(weight * wide(gradient[i]), dys[row + i]);
      }
      narrow(product, dweights[choice]);
    }
  });
}

struct GatherRows : torch::autograd::Function<GatherRows> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const ExpertRowsPtr& rows) {
    ctx->saved_data["rows"] = hold(rows);
    const std::int64_t width = x.size(1);
    at::Tensor gathered = at::empty({rows->count(), width}, x.options());
    with_kernel_type(x.scalar_type(), [&](auto type) {
      using T = decltype(type);
      for_rows(rows->count(), 2 * width, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t row = first; row < last; ++row)
          std::copy_n(read_from<T>(x) + rows->tokens[static_cast<std::size_t>(row)] * width, width,
                      write_to<T>(gathered) + row * width);
      });
    });
    return gathered;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dys) {
    const auto rows = held<ExpertRowsPtr>(ctx->saved_data["rows"]);
    return {summed(dys[0].contiguous(), {}, {}, *rows), {}};
  }
};

struct CombineRows : torch::autograd::Function<CombineRows> {
  // all: ys, weights and the residual where there is one.
  static at::Tensor forward(AutogradContext* ctx, at::TensorList all, const ExpertRowsPtr& rows) {
    ctx->save_for_backward({all[0], all[1]});
    ctx->saved_data["rows"] = hold(rows);
    ctx->saved_data["residual"] = all.size() > 2;
    return summed(all[0], all[1], all.size() > 2 ? all[2] : at::Tensor(), *rows);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& dys) {
    const auto saved = ctx->get_saved_variables();
    const auto rows = held<ExpertRowsPtr>(ctx->saved_data["rows"]);
    const at::Tensor dy = dys[0].contiguous();
    at::Tensor dgathered = at::empty_like(saved[0]), dweights = at::empty_like(saved[1]);
    with_kernel_type(dy.scalar_type(), [&](auto type) {
      using T = decltype(type);
      spread_rows<T>(read_from<T>(dy), read_from<T>(saved[0]), read_from<T>(saved[1]), *rows, dy.size(1),
                     write_to<T>(dgathered), write_to<T>(dweights));
    });
    if (!ctx->saved_data["residual"].toBool()) return {dgathered, dweights, {}};
    return {dgathered, dweights, dy, {}};
  }
};

}  // namespace

std::vector<std::int64_t> ExpertRows::sizes() const {
  std::vector<std::int64_t> sizes;
  for (std::size_t e = 0; e + 1 < starts.size(); ++e) sizes.push_back(starts[e + 1] - starts[e]);
  return sizes;
}

ExpertRowsPtr expert_rows(const at::Tensor& chosen, std::int64_t experts) {
  assert(chosen.dim() == 2 && chosen.scalar_type() == at::kLong);
  const at::Tensor ids = chosen.contiguous();
  const std::int64_t k = ids.size(1);
  const std::span choices(ids.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(ids.numel()));
  auto made = std::make_shared<ExpertRows>();
  made->per_token = k;
  made->starts.assign(static_cast<std::size_t>(experts) + 1, 0);
  for (const std::int64_t expert : choices) ++made->starts[static_cast<std::size_t>(expert) + 1];
  for (std::size_t e = 1; e < made->starts.size(); ++e) made->starts[e] += made->starts[e - 1];
  made->tokens.resize(choices.size());
  made->rows.resize(choices.size());
  std::vector<std::int64_t> next(made->starts.begin(), made->starts.end() - 1);
  for (std::size_t choice = 0; choice < choices.size(); ++choice) {
    const std::int64_t row = next[static_cast<std::size_t>(choices[choice])]++;
    made->rows[choice] = row;
    made->tokens[static_cast<std::size_t>(row)] = static_cast<std::int64_t>(choice) / k;
  }
  return made;
}

at::Tensor gather_rows(const at::Tensor& x, const ExpertRowsPtr& rows) {
  assert(x.size(0) * rows->per_token == rows->count());
  return GatherRows::apply(x.contiguous(), rows);
}

at::Tensor combine_rows(const at::Tensor& ys, const at::Tensor& weights, const at::Tensor& residual,
                        const ExpertRowsPtr& rows) {
  assert(ys.size(0) == rows->count() && weights.scalar_type() == ys.scalar_type());
  variable_list all{ys.contiguous(), weights.contiguous()};
  if (residual.defined()) all.push_back(residual.contiguous());
  return CombineRows::apply(at::TensorList(all), rows);
}

}  // namespace graft
