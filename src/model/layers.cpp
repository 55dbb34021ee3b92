#include "model/layers.h"

#include <ATen/ATen.h>

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

at::Tensor RmsNorm::forward(const at::Tensor& x) const { return rms_norm(x, weight, eps); }
LinearInput RmsNorm::before(const at::Tensor& x) const { return LinearInput::normed(x, weight, eps); }

at::Tensor Attention::forward(const LinearInput& input, const at::Tensor& residual, const Pass& pass,
                              std::size_t layer) const {
  const std::int64_t t = input.x.size(0);
  const std::vector<at::Tensor> projected = qkv.forward(input, pass);
  const at::Tensor q = rotary(projected[0].view({t, heads, head_dim}), pass.rotary);     // [T,H,E]
  const at::Tensor k = rotary(projected[1].view({t, kv_heads, head_dim}), pass.rotary);  // [T,K,E]
  const at::Tensor v = projected[2].view({t, kv_heads, head_dim});                       // [T,K,E]
  at::Tensor mixed;                                                                      // [T,H,E]
  if (pass.cache == nullptr) {
    mixed = attention(q, k, v, pass.layout, options);
  } else if (const auto [keys, values] = pass.cache->append(layer, k, v); pass.cache->length == 0) {
    mixed = attention(q, k, v, pass.layout, options);  // a prompt: nothing lies before it
  } else {
    mixed = attention_cached(q, keys, values, options);
  }
  return out.forward(mixed.reshape({t, heads * head_dim}), pass, {.residual = residual}).front();
}

at::Tensor Mlp::forward(const LinearInput& input, const at::Tensor& residual, const Pass& pass) const {
  const std::vector<at::Tensor> projected = gate_up.forward(input, pass, {.gated = true});
  const auto gated = LinearInput::gated(projected[0], projected[1], projected[2]);
  return down.forward(gated, pass, {.residual = residual}).front();
}

at::Tensor Block::forward(const at::Tensor& x, const Pass& pass, std::size_t layer) const {
  const at::Tensor mixed = attention.forward(input_norm.before(x), x, pass, layer);
  // A copy of the pass: the backward may run it again after this function's caller has let go of it.
  const auto run_mlp = [this, pass](const at::Tensor& input) {
    return mlp.forward(post_attention_norm.before(input), input, pass);
  };
  return pass.recompute == Recompute::kMlp ? recompute(run_mlp, mixed) : run_mlp(mixed);
}

}  // namespace graft
