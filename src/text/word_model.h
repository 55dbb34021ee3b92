#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace graft {

/// A token and the bytes of the word it came from.
struct Piece {
  std::int32_t id;
  ByteSpan range;
};

/// Cuts one word into tokens. Safe to share between threads.
class WordModel {
 public:
  virtual ~WordModel() = default;
  /// Appends the tokens of `word` (not empty), in order.
  virtual void encode(std::string_view word, std::vector<Piece>& pieces) const = 0;
};

}  // namespace graft
