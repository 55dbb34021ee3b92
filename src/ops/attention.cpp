#include "ops/attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace graft {
namespace {

constexpr std::int64_t kQueryBlock = 256;

at::ScalarType compute_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// [n,H,E] -> [K,G*n,E]: the G query heads of a kv head share its keys.
at::Tensor group_heads(const at::Tensor& x, std::int64_t kv_heads) {
  const auto n = x.size(0), group = x.size(1) / kv_heads;
  return x.view({n, kv_heads, group, x.size(2)})
      .permute({1, 2, 0, 3})
      .reshape({kv_heads, group * n, x.size(2)});
}

/// [K,G*n,E] -> [n,H,E]
at::Tensor ungroup_heads(const at::Tensor& x, std::int64_t n) {
  const auto kv_heads = x.size(0), group = x.size(1) / n;
  return x.view({kv_heads, group, n, x.size(2)})
      .permute({2, 0, 1, 3})
      .reshape({n, kv_heads * group, x.size(2)});
}

/// A run of queries of one sequence and the keys that it may see; both count from the sequence's start.
struct Block {
  std::int64_t first = 0, last = 0, key_first = 0, key_last = 0;
};

Block block_of(std::int64_t first, std::int64_t last, std::int64_t window) {
  return {first, last, window > 0 ? std::max<std::int64_t>(0, first - window + 1) : 0, last};
}

/// true where a query may not see a key [n,m]
at::Tensor hidden_pairs(const Block& block, std::int64_t window) {
  const auto queries = at::arange(block.first, block.last, at::kLong).unsqueeze(1);
  const auto keys = at::arange(block.key_first, block.key_last, at::kLong).unsqueeze(0);
  auto hidden = keys > queries;
  if (window > 0) hidden = hidden | (queries - keys >= window);
  return hidden;
}

struct Scores {
  at::Tensor masked;  // [K,G,n,m] after scale, softcap and mask
  at::Tensor tanh;    // [K,G,n,m] of softcap, or undefined
};

Scores scores_of(const at::Tensor& q, const at::Tensor& k, const Block& block,
                 const AttentionOptions& options) {
  Scores scores;
  auto s = at::bmm(q, k.transpose(1, 2)) * options.scale;
  if (options.softcap > 0) {
    scores.tanh = at::tanh(s / options.softcap);
    s = scores.tanh * options.softcap;
  }
  const auto n = block.last - block.first;
  s = s.view({s.size(0), s.size(1) / n, n, s.size(2)});
  if (scores.tanh.defined()) scores.tanh = scores.tanh.view(s.sizes());
  scores.masked =
      s.masked_fill(hidden_pairs(block, options.window), -std::numeric_limits<double>::infinity());
  return scores;
}

struct Forward {
  at::Tensor out;  // [T,H,E] in q's type
  at::Tensor lse;  // [T,H] in the compute type
};

void forward_block(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Block& block,
                   const AttentionOptions& options, Forward& result) {
  const auto type = compute_type(q);
  const auto n = block.last - block.first, m = block.key_last - block.key_first;
  const auto kv_heads = k.size(1);
  const auto qb = group_heads(q.slice(0, block.first, block.last), kv_heads).to(type);
  const auto kb = k.slice(0, block.key_first, block.key_last).permute({1, 0, 2}).to(type);
  const auto vb = v.slice(0, block.key_first, block.key_last).permute({1, 0, 2}).to(type);
  const auto s = scores_of(qb, kb, block, options).masked;
  const auto p = at::softmax(s, -1).to(q.scalar_type()).to(type);
  const auto out = at::bmm(p.view({kv_heads, -1, m}), vb);
  result.out.slice(0, block.first, block.last).copy_(ungroup_heads(out, n));
  result.lse.slice(0, block.first, block.last)
      .copy_(at::logsumexp(s, -1).permute({2, 0, 1}).reshape({n, q.size(1)}));
}

Forward forward_pack(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackLayout& layout,
                     const AttentionOptions& options) {
  Forward result{at::empty_like(q), at::empty({q.size(0), q.size(1)}, q.options().dtype(compute_type(q)))};
  for (std::size_t i = 0; i + 1 < layout.starts.size(); ++i) {
    const auto start = layout.starts[i], end = layout.starts[i + 1];
    Forward part{result.out.slice(0, start, end), result.lse.slice(0, start, end)};
    for (std::int64_t first = 0; first < end - start; first += kQueryBlock)
      forward_block(q.slice(0, start, end), k.slice(0, start, end), v.slice(0, start, end),
                    block_of(first, std::min(first + kQueryBlock, end - start), options.window), options,
                    part);
  }
  return result;
}

/// Views of one sequence: what backward reads, and the gradients it adds to.
struct Sequence {
  at::Tensor q, k, v, out, lse, dout;
  at::Tensor dq;      // in q's type, each row written once
  at::Tensor dk, dv;  // [n,K,E] in the compute type, added to
};

void backward_block(const Sequence& seq, const Block& block, const AttentionOptions& options) {
  const auto type = compute_type(seq.q);
  const auto n = block.last - block.first, m = block.key_last - block.key_first;
  const auto kv_heads = seq.k.size(1);
  const auto rows = [&](const at::Tensor& x) {
    return group_heads(x.slice(0, block.first, block.last), kv_heads).to(type);
  };
  const auto qb = rows(seq.q), dout = rows(seq.dout), out = rows(seq.out);
  const auto kb = seq.k.slice(0, block.key_first, block.key_last).permute({1, 0, 2}).to(type);
  const auto vb = seq.v.slice(0, block.key_first, block.key_last).permute({1, 0, 2}).to(type);
  const auto scores = scores_of(qb, kb, block, options);
  const auto lse = rows(seq.lse.unsqueeze(2)).view({kv_heads, -1, n, 1});
  const auto p = at::exp(scores.masked - lse).view({kv_heads, -1, m});
  const auto delta = (dout * out).sum(-1, /*keepdim=*/true);
  auto ds = p * (at::bmm(dout, vb.transpose(1, 2)) - delta) * options.scale;
  if (scores.tanh.defined()) ds = ds * (1 - scores.tanh * scores.tanh).view(ds.sizes());
  seq.dq.slice(0, block.first, block.last).copy_(ungroup_heads(at::bmm(ds, kb), n));
  seq.dk.slice(0, block.key_first, block.key_last).add_(at::bmm(ds.transpose(1, 2), qb).permute({1, 0, 2}));
  seq.dv.slice(0, block.key_first, block.key_last).add_(at::bmm(p.transpose(1, 2), dout).permute({1, 0, 2}));
}

struct PackedAttention : torch::autograd::Function<PackedAttention> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& q,
                            const at::Tensor& k, const at::Tensor& v, const PackLayout& layout,
                            const AttentionOptions& options) {
    const auto result = forward_pack(q, k, v, layout, options);
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
    const auto starts = context->saved_data["starts"].toIntVector();
    const AttentionOptions options{context->saved_data["scale"].toDouble(),
                                   context->saved_data["window"].toInt(),
                                   context->saved_data["softcap"].toDouble()};
    const auto &q = saved[0], &k = saved[1], &v = saved[2];
    const auto compute = k.options().dtype(compute_type(q));
    auto dq = at::empty_like(q), dk = at::zeros(k.sizes(), compute), dv = at::zeros(v.sizes(), compute);
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
      const auto of = [&](const at::Tensor& x) { return x.slice(0, starts[i], starts[i + 1]); };
      const Sequence seq{of(q),  of(k),  of(v), of(saved[3]), of(saved[4]), of(grads[0].contiguous()),
                         of(dq), of(dk), of(dv)};
      for (std::int64_t first = 0; first < starts[i + 1] - starts[i]; first += kQueryBlock)
        backward_block(
            seq, block_of(first, std::min(first + kQueryBlock, starts[i + 1] - starts[i]), options.window),
            options);
    }
    return {dq, dk.to(k.scalar_type()), dv.to(v.scalar_type()), at::Tensor(), at::Tensor()};
  }
};

void check_shapes(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const bool fits = q.dim() == 3 && k.dim() == 3 && k.sizes() == v.sizes() && q.size(2) == k.size(2) &&
                    k.size(1) > 0 && q.size(1) % k.size(1) == 0 && q.scalar_type() == k.scalar_type() &&
                    k.scalar_type() == v.scalar_type();
  check(fits, ExitCode::kInternal, "attention: shapes do not fit (got q ", q.sizes(), ", k ", k.sizes(),
        ", v ", v.sizes(), ", want [T,H,E], [T,K,E] with H a multiple of K)");
}

}  // namespace

at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const PackLayout& layout,
                     const AttentionOptions& options) {
  check_shapes(q, k, v);
  check(q.size(0) == layout.tokens() && k.size(0) == layout.tokens(), ExitCode::kInternal,
        "attention: tokens of the pack (got ", q.size(0), ", want ", layout.tokens(), ")");
  return PackedAttention::apply(q.contiguous(), k.contiguous(), v.contiguous(), layout, options);
}

at::Tensor attention_cached(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const AttentionOptions& options) {
  check_shapes(q, k, v);
  const auto queries = q.size(0), keys = k.size(0);
  check(queries <= keys, ExitCode::kInternal, "attention: more queries than positions (got ", queries,
        ", want at most ", keys, ")");
  const at::NoGradGuard no_grad;
  Forward result{at::empty_like(q, at::MemoryFormat::Contiguous),
                 at::empty({queries, q.size(1)}, q.options().dtype(compute_type(q)))};
  for (std::int64_t first = 0; first < queries; first += kQueryBlock) {
    const auto last = std::min(first + kQueryBlock, queries);
    auto block = block_of(keys - queries + first, keys - queries + last, options.window);
    // The queries are the last positions: shift the views so that block counts in positions.
    const auto shift = [&](const at::Tensor& x) { return x.slice(0, first, last); };
    const auto m = block.key_last - block.key_first;
    const auto type = compute_type(q);
    const auto qb = group_heads(shift(q).contiguous(), k.size(1)).to(type);
    const auto kb = k.slice(0, block.key_first, block.key_last).permute({1, 0, 2}).to(type);
    const auto vb = v.slice(0, block.key_first, block.key_last).permute({1, 0, 2}).to(type);
    const auto s = scores_of(qb, kb, block, options).masked;
    const auto p = at::softmax(s, -1).to(q.scalar_type()).to(type);
    shift(result.out).copy_(ungroup_heads(at::bmm(p.view({k.size(1), -1, m}), vb), last - first));
  }
  return result.out;
}

}  // namespace graft
