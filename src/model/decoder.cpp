#include "model/decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cassert>
#include <memory>
#include <utility>

#include "base/error.h"
#include "ops/recompute.h"

namespace graft {
namespace {

/// Tokens of sequence n of the pack.
std::int64_t count_of(const PackLayout& layout, std::size_t n) {
  return layout.starts[n + 1] - layout.starts[n];
}

/// Tokens that sequence n has in its cache: the position of its first token in the pack.
std::int64_t offset_of(const Pass& pass, std::size_t n) {
  return pass.caches.empty() ? 0 : pass.caches[n]->length;
}

/// The angles of a pack: as one where sequences start alike and all lengths have the same angles, else for
/// each of them.
RotaryTable table_of(const RopeConfig& rope, const Pass& pass, at::ScalarType dtype) {
  const PackLayout& layout = pass.layout;
  const auto make = [&](const PackLayout& part, std::int64_t length, std::int64_t offset) {
    return rotary_table(part, rope.frequencies(length), rope.attention_factor, offset, dtype);
  };
  const auto sequences = static_cast<std::size_t>(layout.sequences());
  const std::int64_t offset = offset_of(pass, 0), longest = layout.longest() + offset;
  bool alike = rope.same_angles(1, longest);
  for (std::size_t n = 1; n < sequences; ++n) alike = alike && offset_of(pass, n) == offset;
  if (alike) return make(layout, longest, offset);
  std::vector<at::Tensor> cos, sin;
  for (std::size_t n = 0; n < sequences; ++n) {
    const std::int64_t count = count_of(layout, n), before = offset_of(pass, n);
    const RotaryTable part = make(PackLayout::single(count), count + before, before);
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
  assert(pass.caches.empty() || std::ssize(pass.caches) == pass.layout.sequences());
  check_tokens(tokens, config.vocab_size);
  for (std::size_t n = 0; n < pass.caches.size(); ++n)
    if (stale(*pass.caches[n], pass.caches[n]->length + count_of(pass.layout, n)))
      return read_again(tokens, std::move(pass));
  for (std::size_t n = 0; n < pass.caches.size(); ++n) {
    KvCache& cache = *pass.caches[n];
    const std::int64_t count = count_of(pass.layout, n);
    note_tokens(cache, tokens.narrow(0, pass.layout.starts[n], count));
    cache.rotated_for = cache.length + count;
  }
  for (const RopeConfig& rope : config.ropes) pass.rotary.push_back(table_of(rope, pass, dtype));
  // The backward runs blocks again after this function has returned, so they share the pass.
  const auto shared = std::make_shared<const Pass>(std::move(pass));
  at::Tensor x = embedding->look_up(tokens);
  if (config.embedding_multiplier != 1.0) x = x * rounded_to(config.embedding_multiplier, dtype);
  for (std::size_t layer = 0; layer < blocks.size(); ++layer) {
    const Block& block = blocks[layer];
    const auto run = [&block, shared, layer](const at::Tensor& input) {
      return block.forward(input, *shared, layer);
    };
    x = shared->recompute == Recompute::kBlocks ? recompute(run, x) : run(x);
  }
  for (std::size_t n = 0; n < shared->caches.size(); ++n)
    shared->caches[n]->length += count_of(shared->layout, n);
  return norm.forward(x);
}

bool Decoder::stale(const KvCache& cache, std::int64_t length) const {
  return cache.length > 0 && std::any_of(config.ropes.begin(), config.ropes.end(), [&](const auto& rope) {
           return !rope.same_angles(cache.rotated_for, length);
         });
}

at::Tensor Decoder::read_again(const at::Tensor& tokens, Pass pass) const {
  const PackLayout asked = std::exchange(pass.layout, PackLayout{.starts = {0}, .ids = {}});
  std::vector<std::int64_t> read;
  for (std::size_t n = 0; n < pass.caches.size(); ++n) {
    KvCache& cache = *pass.caches[n];
    const std::int64_t count = count_of(asked, n);
    note_tokens(cache, tokens.narrow(0, asked.starts[n], count));
    if (stale(cache, cache.length + count)) cache.length = 0;
    read.insert(read.end(), cache.tokens.begin() + cache.length, cache.tokens.end());
    pass.layout.starts.push_back(std::ssize(read));
  }
  const std::vector<std::int64_t> ends(pass.layout.starts.begin() + 1, pass.layout.starts.end());
  const at::Tensor all = hidden(at::tensor(read, at::kLong), std::move(pass));
  std::vector<at::Tensor> rows;
  for (std::size_t n = 0; n < ends.size(); ++n) {
    const std::int64_t count = count_of(asked, n);
    rows.push_back(all.narrow(0, ends[n] - count, count));
  }
  return at::cat(rows);
}

LogitOptions Decoder::logit_options() const {
  return {.scale = config.logit_scale, .softcap = config.logit_softcap};
}

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  at::Tensor logits = head.weight->times_transposed_f32(hidden);
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
