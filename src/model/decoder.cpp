#include "model/decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <memory>

#include "base/error.h"
#include "ops/recompute.h"

namespace graft {
namespace {

/// The angles of a pack: as one where they are the same for sequences of all lengths, else for each of them.
RotaryTable table_of(const RopeConfig& rope, const PackLayout& layout, std::int64_t offset,
                     at::ScalarType dtype) {
  const auto make = [&](const PackLayout& part, std::int64_t length) {
    return rotary_table(part, rope.frequencies(length), rope.attention_factor, offset, dtype);
  };
  if (rope.same_angles(1, layout.longest() + offset)) return make(layout, layout.longest() + offset);
  std::vector<at::Tensor> cos, sin;
  for (std::int64_t n = 0; n < layout.sequences(); ++n) {
    const auto at = static_cast<std::size_t>(n);
    const std::int64_t count = layout.starts[at + 1] - layout.starts[at];
    const RotaryTable part = make(PackLayout::single(count), count + offset);
    cos.push_back(part.cos);
    sin.push_back(part.sin);
  }
  return {at::cat(cos), at::cat(sin)};
}

/// A factor of the whole embedding as Hugging Face multiplies by it.
double rounded_to(double value, at::ScalarType dtype) {
  return at::scalar_tensor(value, at::TensorOptions().dtype(dtype)).to(at::kDouble).item<double>();
}

/// Puts `fresh` behind the tokens that the cache still counts.
void note_tokens(KvCache& cache, const at::Tensor& fresh) {
  cache.tokens.resize(static_cast<std::size_t>(cache.length));
  const at::Tensor ids = fresh.contiguous();
  const std::int64_t* first = ids.const_data_ptr<std::int64_t>();
  cache.tokens.insert(cache.tokens.end(), first, first + ids.numel());
}

void check_tokens(const at::Tensor& tokens, std::int64_t vocab_size) {
  const auto [low, high] = at::aminmax(tokens);
  const std::int64_t worst =
      low.item<std::int64_t>() < 0 ? low.item<std::int64_t>() : high.item<std::int64_t>();
  check(worst >= 0 && worst < vocab_size, "token id ", worst, " is not in the model's vocabulary (want 0 to ",
        vocab_size - 1, ")",
        Hint{"tokenizer and model do not belong together, or the row was made for another base"});
}

}  // namespace

at::Tensor Decoder::hidden(const at::Tensor& tokens, Pass pass) const {
  assert(tokens.size(0) == pass.layout.tokens());
  assert(pass.cache == nullptr || pass.layout.sequences() == 1);
  check_tokens(tokens, config.vocab_size);
  const std::int64_t offset = pass.cache ? pass.cache->length : 0;
  if (pass.cache) {
    const std::int64_t whole = offset + tokens.size(0);
    const bool stale =
        offset > 0 && std::any_of(config.ropes.begin(), config.ropes.end(), [&](const auto& rope) {
          return !rope.same_angles(pass.cache->rotated_for, whole);
        });
    if (stale) return read_again(tokens, std::move(pass));
    note_tokens(*pass.cache, tokens);
    pass.cache->rotated_for = whole;
  }
  for (const RopeConfig& rope : config.ropes)
    pass.rotary.push_back(table_of(rope, pass.layout, offset, dtype));
  // The backward runs blocks again after this function has returned, so they share the pass.
  const auto shared = std::make_shared<const Pass>(std::move(pass));
  at::Tensor x =
      embedding_adapter ? embedding_adapter->look_up(*embedding, tokens) : embedding->look_up(tokens);
  if (config.embedding_multiplier != 1.0) x = x * rounded_to(config.embedding_multiplier, dtype);
  for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
    const Block& block = blocks[layer];
    const auto run = [&block, shared, layer](const at::Tensor& input) {
      return block.forward(input, *shared, layer);
    };
    x = shared->recompute == Recompute::kBlocks ? recompute(run, x) : run(x);
  }
  if (shared->cache) shared->cache->length += tokens.size(0);
  return norm.forward(x);
}

at::Tensor Decoder::read_again(const at::Tensor& tokens, Pass pass) const {
  note_tokens(*pass.cache, tokens);
  const std::vector<std::int64_t> all = pass.cache->tokens;
  pass.cache->length = 0;
  pass.layout = PackLayout::single(std::ssize(all));
  return hidden(at::tensor(all, at::kLong), std::move(pass)).slice(0, -tokens.size(0));
}

LogitOptions Decoder::logit_options() const {
  return {.scale = config.logit_scale, .softcap = config.logit_softcap};
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  at::Tensor logits = head_adapter ? head_adapter->forward(hidden, {head}, {}).front().to(at::kFloat)
                                   : head.weight->times_transposed_f32(hidden);
  if (config.logit_scale != 1.0) logits = logits * config.logit_scale;
  if (config.logit_softcap > 0.0) logits = at::tanh(logits / config.logit_softcap) * config.logit_softcap;
  return logits;
}

void Decoder::each_group(const std::function<void(LinearGroup&)>& visit) {
  for (Block& block : blocks) {
    visit(block.attention.qkv);
    visit(block.attention.out);
    visit(block.mlp.gate_up);
    visit(block.mlp.down);
  }
}

void Decoder::each_group(const std::function<void(const LinearGroup&)>& visit) const {
  for (const Block& block : blocks) {
    visit(block.attention.qkv);
    visit(block.attention.out);
    visit(block.mlp.gate_up);
    visit(block.mlp.down);
  }
}

}  // namespace graft
