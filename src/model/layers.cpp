#include "model/layers.h"

#include <ATen/ATen.h>

#include "ops/linear.h"
#include "ops/norm.h"
#include "ops/recompute.h"
#include "ops/rotary.h"
#include "ops/swiglu.h"

namespace graft {

std::vector<at::Tensor> LinearGroup::forward(const at::Tensor& x, const Pass& pass) const {
  if (adapter) return adapter->forward(x, linears, pass);
  std::vector<at::Tensor> ys;
  ys.reserve(linears.size());
  for (const Linear& one : linears) ys.push_back(linear(x, one.weight, one.bias));
  return ys;
}

at::Tensor RmsNorm::forward(const at::Tensor& x) const { return rms_norm(x, weight, eps); }

at::Tensor Attention::forward(const at::Tensor& x, const Pass& pass, std::size_t layer) const {
  const std::int64_t t = x.size(0);
  const std::vector<at::Tensor> projected = qkv.forward(x, pass);
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
  return out.forward(mixed.reshape({t, heads * head_dim}), pass).front();
}

at::Tensor Mlp::forward(const at::Tensor& x, const Pass& pass) const {
  const std::vector<at::Tensor> projected = gate_up.forward(x, pass);
  return down.forward(swiglu(projected[0], projected[1]), pass).front();
}

at::Tensor Block::forward(const at::Tensor& x, const Pass& pass, std::size_t layer) const {
  const at::Tensor mixed = x + attention.forward(input_norm.forward(x), pass, layer);
  // A copy: the backward may run it again after this function's caller has let go of the pass.
  const auto run_mlp = [this, pass](const at::Tensor& input) {
    return input + mlp.forward(post_attention_norm.forward(input), pass);
  };
  return pass.recompute == Recompute::kMlp ? recompute(run_mlp, mixed) : run_mlp(mixed);
}

}  // namespace graft
