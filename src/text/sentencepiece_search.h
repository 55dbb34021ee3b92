#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace graft {

/// What a model makes of normalized text: the search of the sentencepiece library without the copies of every
/// piece that it makes on its way out. Safe to share between threads.
class SentencepieceSearch {
 public:
  struct Part {
    std::int32_t id = 0;     ///< the unknown piece's where no piece has this text
    std::uint32_t size = 0;  ///< bytes
  };
  virtual ~SentencepieceSearch() = default;
  /// Parts that make up the text (valid UTF-8, below 2 GiB), in its order.
  virtual std::vector<Part> segment(std::string_view normalized) const = 0;
};

}  // namespace graft
