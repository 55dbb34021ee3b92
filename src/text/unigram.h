#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "text/double_array.h"
#include "text/word_cache.h"
#include "text/word_model.h"

namespace graft {

/// What a unigram model does beside its scores.
struct UnigramOptions {
  std::optional<std::int32_t> unknown;  ///< id of the unknown token; needed by texts with unknown characters
  bool byte_fallback = false;
  bool fuse_unknown = true;
};

/// The segmentation of a word whose tokens have the largest sum of scores. Linear in the length of a word;
/// words that come again are remembered. Safe to share between threads.
/// Sources: Kudo 2018; tokenizers, models/unigram/model.rs.
class Unigram : public WordModel {
 public:
  /// A token and the logarithm of its probability; ids are the places in the list.
  struct Token {
    std::string_view spelling;
    double score;
  };
  Unigram(const std::vector<Token>& tokens, const UnigramOptions& options);

  void encode(std::string_view word, std::vector<Piece>& pieces) const override;

 private:
  void segment(std::string_view word, std::vector<Piece>& pieces) const;
  void append(std::string_view word, ByteSpan range, std::vector<Piece>& pieces) const;

  DoubleArray trie_;
  std::vector<double> scores_;
  std::vector<std::optional<std::int32_t>> byte_ids_;
  double unknown_score_ = 0;
  UnigramOptions options_;
  std::unique_ptr<WordCache> cache_;
};

}  // namespace graft
