#include "model/layers.h"

#include <ATen/ATen.h>

#include "ops/geglu.h"
#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/recompute.h"
#include "ops/rotary.h"

namespace graft {

std::vector<at::Tensor> LinearGroup::forward(const LinearInput& input, const Pass& pass,
                                             const LinearOutput& output) const {
  if (adapter) return adapter->forward(input, linears, pass, output);
  std::vector<LoraTerm> terms;
  terms.reserve(linears.size());
  for (const Linear& one : linears) terms.push_back({.weight = one.weight, .bias = one.bias});
  return lora_linear(input, terms, std::nullopt, output);
}

at::Tensor RmsNorm::forward(const at::Tensor& x) const { return present() ? rms_norm(x, gain, eps) : x; }
LinearInput RmsNorm::before(const at::Tensor& x) const {
  return present() ? LinearInput::normed(x, gain, eps) : LinearInput(x);
}

at::Tensor Attention::prepared(const at::Tensor& x, const RmsNorm& norm, const Pass& pass) const {
  at::Tensor heads_apart = x.reshape({x.size(0), -1, head_dim});
  if (norm.present())
    heads_apart =
        norm.gain.size(0) == head_dim ? norm.forward(heads_apart) : norm.forward(x).view(heads_apart.sizes());
  return rope < 0 ? heads_apart : rotary(heads_apart, pass.rotary[static_cast<std::size_t>(rope)]);
}

at::Tensor Attention::decoded(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Pass& pass,
                              std::size_t layer) const {
  const auto part_of = [&](const at::Tensor& x, std::size_t n) {
    return x.narrow(0, pass.layout.starts[n], pass.layout.starts[n + 1] - pass.layout.starts[n]);
  };
  bool all_fresh = true;
  std::vector<at::Tensor> parts;
  for (std::size_t n = 0; n < pass.caches.size(); ++n) {
    const at::Tensor part = part_of(q, n);
    const auto [keys, values] = pass.caches[n]->append(layer, part_of(k, n), part_of(v, n));
    if (pass.caches[n]->length > 0) {
      all_fresh = false;
      parts.push_back(attention_cached(part, keys, values, options));
    } else {
      parts.emplace_back();  // a prompt: nothing lies before it
    }
  }
  if (all_fresh) return attention(q, k, v, pass.layout, options);
  for (std::size_t n = 0; n < parts.size(); ++n) {
    if (parts[n].defined()) continue;
    const at::Tensor part = part_of(q, n);
    parts[n] = attention(part, part_of(k, n), part_of(v, n), PackLayout::single(part.size(0)), options);
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

at::Tensor Attention::forward(const LinearInput& input, const at::Tensor& residual, const Pass& pass,
                              std::size_t layer) const {
  const std::int64_t t = input.x.size(0);
  std::vector<at::Tensor> projected = qkv.forward(input, pass);
  if (projected.size() == 1)
    projected =
        projected[0].split_with_sizes({heads * head_dim, kv_heads * head_dim, kv_heads * head_dim}, 1);
  const at::Tensor q = prepared(projected[0], q_norm, pass);           // [T,H,E]
  const at::Tensor k = prepared(projected[1], k_norm, pass);           // [T,K,E]
  const at::Tensor v = projected[2].reshape({t, kv_heads, head_dim});  // [T,K,E]
  const at::Tensor mixed = pass.caches.empty() ? attention(q, k, v, pass.layout, options)
                                               : decoded(q, k, v, pass, layer);  // [T,H,E]
  return out.forward(mixed.reshape({t, heads * head_dim}), pass, {.residual = residual}).front();
}

LinearInput Mlp::gated(const LinearInput& input, const Pass& pass) const {
  const bool silu = activation == Activation::kSilu, apart = gate_up.linears.size() == 2;
  std::vector<at::Tensor> projected = gate_up.forward(input, pass, {.gated = silu && apart});
  if (!apart) projected = projected[0].chunk(2, 1);
  if (silu) return LinearInput::gated(projected[0], projected[1], apart ? projected[2] : at::Tensor());
  return geglu(projected[0], projected[1]);
}

at::Tensor Mlp::forward(const LinearInput& input, const at::Tensor& residual, const Pass& pass) const {
  return down.forward(gated(input, pass), pass, {.residual = residual}).front();
}

namespace {

/// x + multiplier * norm(branch). Where nothing stands between, the branch's last linear adds x itself.
template <class Branch>
at::Tensor add_branch(const at::Tensor& x, const RmsNorm& after, double multiplier, const Branch& branch) {
  if (!after.present() && multiplier == 1.0) return branch(x);
  const at::Tensor y = after.forward(branch(at::Tensor()));
  return x + (multiplier == 1.0 ? y : y * multiplier);
}

}  // namespace

at::Tensor Block::forward(const at::Tensor& x, const Pass& pass, std::size_t layer) const {
  const at::Tensor mixed =
      add_branch(x, after_attention, residual_multiplier, [&](const at::Tensor& residual) {
        return attention.forward(before_attention.before(x), residual, pass, layer);
      });
  // A copy of the pass: the backward may run it again after this function's caller has let go of it.
  const auto run_mlp = [this, pass](const at::Tensor& input) {
    return add_branch(input, after_mlp, residual_multiplier, [&](const at::Tensor& residual) {
      return mlp.forward(before_mlp.before(input), residual, pass);
    });
  };
  return pass.recompute == Recompute::kMlp ? recompute(run_mlp, mixed) : run_mlp(mixed);
}

void Block::each_norm(const std::function<void(RmsNorm&)>& visit) {
  for (RmsNorm* norm :
       {&before_attention, &attention.q_norm, &attention.k_norm, &after_attention, &before_mlp, &after_mlp})
    if (norm->present()) visit(*norm);
}

void Block::each_norm(const std::function<void(const RmsNorm&)>& visit) const {
  for (const RmsNorm* norm :
       {&before_attention, &attention.q_norm, &attention.k_norm, &after_attention, &before_mlp, &after_mlp})
    if (norm->present()) visit(*norm);
}

}  // namespace graft
