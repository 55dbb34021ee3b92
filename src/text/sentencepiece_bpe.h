#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "text/double_array.h"
#include "text/sentencepiece_proto.h"
#include "text/sentencepiece_search.h"

namespace graft {

/// Pieces that users defined, else characters, merged in pairs: always the pair whose text has the largest
/// score, of several the first. Pieces that are not used are taken apart again. Source: sentencepiece 0.2.1,
/// bpe_model.cc.
class SentencepieceBpe : public SentencepieceSearch {
 public:
  explicit SentencepieceBpe(const SentencepieceProto& proto);
  std::vector<Part> segment(std::string_view normalized) const override;

 private:
  struct Merging;
  std::int32_t id_of(std::string_view word) const;

  DoubleArray trie_, user_defined_;
  std::vector<float> scores_;
  std::vector<bool> unused_;                                // by id
  std::unordered_map<std::string, std::int32_t> reserved_;  // control, unknown and byte pieces
  std::int32_t unknown_ = 0;
};

}  // namespace graft
