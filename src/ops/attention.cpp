#include "ops/attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "base/error.h"
#include "ops/attention_blocks.h"
#include "ops/work_scope.h"

namespace graft {
namespace {

constexpr std::int64_t kFewQueries = 4;  // of a kv head's group each; more are worth packing K and V

std::vector<AttentionSegment> segments_of(const std::vector<std::int64_t>& starts) {
  std::vector<AttentionSegment> segments;
  std::int64_t packed_start = 0;
  for (std::size_t n = 0; n + 1 < starts.size(); ++n) {
    const auto length = starts[n + 1] - starts[n];
    segments.push_back({starts[n], length, starts[n], length, packed_start});
    packed_start += padded(length);
  }
  return segments;
}

/// x with the numbers of each row adjacent.
at::Tensor with_adjacent_rows(const at::Tensor& x) { return x.stride(2) == 1 ? x : x.contiguous(); }

AttentionProblem problem_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionOptions& options) {
  return {with_adjacent_rows(q), with_adjacent_rows(k), with_adjacent_rows(v), {}, options};
}

// Pairs of a query and a key that it sees, all heads.
double visible_pairs(const AttentionProblem& problem) {
  double pairs = 0;
  for (const AttentionSegment& segment : problem.segments) {
    const auto length = static_cast<double>(segment.queries);
    const auto unseen = problem.options.window > 0
                            ? std::max(0.0, length - static_cast<double>(problem.options.window))
                            : 0.0;
    pairs += (length * (length + 1) - unseen * (unseen + 1)) / 2;
  }
  return pairs * static_cast<double>(problem.heads());
}

// `products` of 2 E operations a pair; `passes` over the bytes of q, k, v and the result.
WorkSize size_of(const AttentionProblem& problem, int products, int passes) {
  const double bytes = static_cast<double>(2 * problem.q.nbytes() + problem.k.nbytes() + problem.v.nbytes());
  return {.flops = 2.0 * products * visible_pairs(problem) * static_cast<double>(problem.width()),
          .bytes = passes * bytes};
}

struct PackedAttention : torch::autograd::Function<PackedAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q,
                            const at::Tensor& k, const at::Tensor& v, const PackLayout& layout,
                            const AttentionOptions& options) {
    auto problem = problem_of(q, k, v, options);
    problem.segments = segments_of(layout.starts);
    const WorkScope scope(Work::kAttention, size_of(problem, 2, 1));
    const auto result = attention_forward(problem);
    context->save_for_backward({q, k, v, result.out, result.lse});
    context->saved_data["starts"] = layout.starts;
    context->saved_data["scale"] = options.scale;
    context->saved_data["window"] = options.window;
    context->saved_data["softcap"] = options.softcap;
    return result.out;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list grads) {
    const auto saved = context->get_saved_variables();
    auto problem = problem_of(saved[0], saved[1], saved[2],
                              {context->saved_data["scale"].toDouble(), context->saved_data["window"].toInt(),
                               context->saved_data["softcap"].toDouble()});
    problem.segments = segments_of(context->saved_data["starts"].toIntVector());
    const WorkScope scope(Work::kAttention, size_of(problem, 5, 2));
    const auto result = attention_backward(problem, {saved[3], saved[4]}, with_adjacent_rows(grads[0]));
    return {result.dq, result.dk, result.dv, at::Tensor(), at::Tensor()};
  }
};

void check_inputs(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const AttentionOptions& options) {
  const bool fits = q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(2) == k.size(2) &&
                    q.size(0) > 0 && k.size(1) > 0 && q.size(1) > 0 && q.size(1) % k.size(1) == 0;
  check(fits, ExitCode::kInternal, "attention: shapes do not fit (got q ", q.sizes(), ", k ", k.sizes(),
        ", v ", v.sizes(), ", want [T,H,E], [S,K,E] with H a multiple of K)");
  const auto type = q.scalar_type();
  check(k.scalar_type() == type && v.scalar_type() == type &&
            (type == at::kBFloat16 || type == at::kFloat || type == at::kDouble),
        ExitCode::kInternal, "attention: types (got ", type, ", ", k.scalar_type(), ", ", v.scalar_type(),
        ", want one of bf16, fp32, fp64 for all)");
  check(options.window >= 0 && options.softcap >= 0, ExitCode::kInternal, "attention: options (got window ",
        options.window, ", softcap ", options.softcap, ", want 0 or more)");
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackLayout& layout,
                     const AttentionOptions& options) {
  check_inputs(q, k, v, options);
  check(q.size(0) == layout.tokens() && k.size(0) == layout.tokens(), ExitCode::kInternal,
        "attention: tokens of the pack (got q ", q.size(0), ", k ", k.size(0), ", want ", layout.tokens(),
        ")");
  return PackedAttention::apply(q, k, v, layout, options);
}

at::Tensor attention_cached(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionOptions& options) {
  check_inputs(q, k, v, options);
  check(q.size(0) <= k.size(0), ExitCode::kInternal, "attention: more queries than positions (got ",
        q.size(0), ", want at most ", k.size(0), ")");
  const at::NoGradGuard no_grad;
  auto problem = problem_of(q, k, v, options);
  problem.segments = {{0, q.size(0), 0, k.size(0), 0}};
  return q.size(0) <= kFewQueries ? attention_of_few(problem) : attention_forward(problem).out;
}

}  // namespace graft
