#include <ATen/ATen.h>

#include <limits>

#include "ops/attention_blocks.h"

namespace graft {
namespace {

constexpr std::int64_t kKeysPerThread = 2048;  // below, starting threads costs more than the work

/// Query `query` against its keys, for the heads that share kv_head.
template <class Types>
void attend(const AttentionProblem& problem, std::int64_t query, std::int64_t kv_head,
            const at::Tensor& result) {
  using Storage = typename Types::Storage;
  using Real = typename Types::Real;
  const auto& rows = Types::rows();
  const auto group = problem.heads() / problem.kv_heads(), width = padded(problem.width());
  const auto position = problem.segments[0].offset() + query;
  const auto first =
      problem.options.window == 0 ? 0 : std::max<std::int64_t>(0, position + 1 - problem.options.window);
  const auto count = position + 1 - first, columns = padded(count);
  const auto heads_of = [&](const at::Tensor& x) {
    return static_cast<Storage*>(x.data_ptr()) + query * x.stride(0) + kv_head * group * x.stride(1);
  };
  const Numbers<Real> products(group * columns), out(group * width), inverse(group);
  rows.dot_keys({heads_of(problem.q), problem.q.stride(1), group, problem.width()},
                head_rows<const Storage>(problem.k, kv_head, first, count), columns, products.data());
  for (std::int64_t g = 0; g < group; ++g) {
    Real max = -std::numeric_limits<Real>::infinity(), sum[kBlockStep] = {}, lse;
    auto* row = products.data() + g * columns;
    const ScoreBlock block{{1, columns}, count - 1, 0, problem.options.scale, problem.options.softcap};
    rows.softmax(block, row, {&max, sum, nullptr, 0}, row);
    rows.finish(1, {&max, sum, nullptr, 0}, &lse, inverse.data() + g);
  }
  rows.weigh_values(products.data(), {group, columns},
                    head_rows<const Storage>(problem.v, kv_head, first, count), out.data());
  rows.store(out.data(), width, inverse.data(), {heads_of(result), result.stride(1), group, problem.width()});
}

template <class Types>
at::Tensor run(const AttentionProblem& problem) {
  const auto result = at::empty(problem.q.sizes(), problem.q.options());
  const auto kv_heads = problem.kv_heads(), keys = problem.segments[0].keys;
  at::parallel_for(0, problem.q.size(0) * kv_heads, std::max<std::int64_t>(1, kKeysPerThread / keys),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (auto unit = begin; unit < end; ++unit)
                       attend<Types>(problem, unit / kv_heads, unit % kv_heads, result);
                   });
  return result;
}

}  // namespace

at::Tensor attention_of_few(const AttentionProblem& problem) {
  switch (problem.q.scalar_type()) {
    case at::kDouble:
      return run<AttentionTypes<double, double, double>>(problem);
    case at::kFloat:
      return run<AttentionTypes<float, float, float>>(problem);
    default:
      return run<AttentionTypes<Bf16Bits, float, float>>(problem);
  }
}

}  // namespace graft
