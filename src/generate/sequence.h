#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "model/decoder.h"

namespace graft {

/// A text on its way: its tokens, and keys and values of the first of them.
struct Sequence {
  std::vector<std::int32_t> tokens;
  KvCache cache;

  /// Tokens that the model has not read yet.
  std::int64_t unread() const { return std::ssize(tokens) - cache.length; }
};

/// Reads what each sequence has beyond its cache (at least a token), all as one pack -> logits [N,V] fp32 of
/// the token after each. No gradient. Errors: a token outside the vocabulary.
at::Tensor read_on(const Decoder& model, std::span<Sequence* const> sequences);

}  // namespace graft
