#pragma once

#include <vector>

#include "text/double_array.h"
#include "text/sentencepiece_proto.h"
#include "text/sentencepiece_search.h"

namespace graft {

/// The segmentation with the largest sum of scores. They are added in the library's order and widths, for
/// among long texts their rounding decides. Source: sentencepiece 0.2.1, unigram_model.cc, EncodeOptimized.
class SentencepieceUnigram : public SentencepieceSearch {
 public:
  explicit SentencepieceUnigram(const SentencepieceProto& proto);
  std::vector<Part> segment(std::string_view normalized) const override;

 private:
  DoubleArray trie_;
  std::vector<float> scores_;
  std::vector<SentencepieceProto::Type> types_;
  float unknown_score_ = 0, largest_score_ = 0;
  std::int32_t unknown_ = 0;
};

}  // namespace graft
