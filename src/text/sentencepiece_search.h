#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "text/sentencepiece_proto.h"

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

/// Pieces that users defined, else characters, merged in pairs: always the pair whose text has the largest
/// score, of several the first. Pieces that are not used are taken apart again. Source: sentencepiece 0.2.1,
/// bpe_model.cc.
std::unique_ptr<const SentencepieceSearch> make_sentencepiece_bpe(const SentencepieceProto& proto);

/// The segmentation with the largest sum of scores. They are added in the library's order and widths, for
/// among long texts their rounding decides. Source: sentencepiece 0.2.1, unigram_model.cc, EncodeOptimized.
std::unique_ptr<const SentencepieceSearch> make_sentencepiece_unigram(const SentencepieceProto& proto);

}  // namespace graft
