#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace graft {

/// The sizes of a published model.
struct BaseShape {
  std::string_view name;
  std::int64_t vocab, hidden, feed_forward, layers, heads, kv_heads, head_dim;
  bool is_tied;  ///< the head is the embedding
  double rope_theta, norm_eps;
  std::int64_t max_positions, bos, eos;
};
std::span<const BaseShape> base_shapes();

enum class BaseTensorKind { kNorm, kEmbedding, kLinear };
struct BaseTensor {
  std::string name;  ///< as Hugging Face has it
  BaseTensorKind kind;
  std::vector<std::int64_t> shape;
};

/// The tensors of a LlamaForCausalLM of this shape, in the order of the network.
std::vector<BaseTensor> tensors_of(const BaseShape& shape);
/// Its config.json; with what transformers writes of NF4 and double quantisation where the linears are stored
/// so.
Json config_of(const BaseShape& shape, bool is_nf4);

}  // namespace graft
