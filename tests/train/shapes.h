#pragma once

#include "train/memory.h"

namespace graft {

/// SmolLM2-135M with r 16 on all linears, its bf16 folder used in place.
inline TrainingShape smollm2_shape() {
  TrainingShape shape;
  shape.config.vocab_size = 49152;
  shape.config.hidden_size = 576;
  shape.config.intermediate_size = 1536;
  shape.config.num_hidden_layers = 30;
  shape.config.num_attention_heads = 9;
  shape.config.num_key_value_heads = 3;
  shape.config.head_dim = 64;
  shape.config.tie_word_embeddings = true;
  const std::int64_t linears = 106'168'320, embedding = 49152 * 576;
  shape.base.linears = {linears, 2 * linears};
  shape.base.embeddings = {embedding, 2 * embedding};
  shape.adapter_parameters = 4'884'480;
  shape.active_adapter_parameters = shape.adapter_parameters;
  shape.adapter_ranks = 210 * 16;
  return shape;
}

}  // namespace graft
