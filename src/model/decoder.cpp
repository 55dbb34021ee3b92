#include "model/decoder.h"

#include <ATen/ATen.h>

#include <cassert>
#include <memory>

#include "base/error.h"
#include "ops/recompute.h"

namespace graft {
namespace {

/// Angles per position, computed in fp32 with libtorch's own pow as Hugging Face does, so that they are equal
/// to the bit.
std::vector<double> rotary_frequencies(const ModelConfig& config) {
  const at::Tensor exponents = at::arange(0, config.head_dim, 2, at::kFloat) / config.head_dim;
  const at::Tensor frequencies =
      at::reciprocal(at::pow(at::Scalar(config.rope_theta), exponents)).to(at::kDouble);
  const double* first = frequencies.const_data_ptr<double>();
  return {first, first + frequencies.numel()};
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
  pass.rotary = rotary_table(pass.layout, rotary_frequencies(config), 1.0, offset, dtype);
  // The backward runs blocks again after this function has returned, so they share the pass.
  const auto shared = std::make_shared<const Pass>(std::move(pass));
  at::Tensor x = embedding->look_up(tokens);
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

at::Tensor Decoder::logits(const at::Tensor& hidden) const {
  return head.weight->times_transposed_f32(hidden);
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
