#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace graft {

/// What a BPE model does beside its merges.
struct BpeOptions {
  bool ignore_merges = false;  ///< a word that is a token itself is not merged
  std::optional<std::int32_t>
      unknown;                ///< stands for bytes that the vocabulary lacks; without it they vanish
  bool fuse_unknown = false;  ///< one unknown token for a run of such bytes
};

/// Byte-level byte-pair encoding: the pair of lowest rank is merged first, the leftmost of equals.
/// n log n in the length of a word; words that come again are remembered. Safe to share between threads.
/// Source: Sennrich et al. 2016; tokenizers, models/bpe/word.rs.
class Bpe {
 public:
  /// A token and the bytes of the word it came from.
  struct Piece {
    std::int32_t id;
    ByteSpan range;
  };
  using Merge = std::pair<std::string_view, std::string_view>;

  /// Merges in order of rank, by spelling. Errors, started by `where` and the merge's number: a part or the
  /// whole is not in the vocabulary.
  Bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges, const BpeOptions& options,
      std::string_view where);
  ~Bpe();

  /// Appends the tokens of one word, given as raw bytes.
  void encode(std::string_view word, std::vector<Piece>& pieces) const;

 private:
  class MergeTable;
  class WordCache;
  void merge(std::string_view word, std::vector<Piece>& pieces) const;

  std::array<std::int32_t, 256> byte_ids_;  // -1: not in the vocabulary
  std::unique_ptr<MergeTable> merges_;
  std::unique_ptr<WordCache> cache_;
  BpeOptions options_;
  std::vector<std::pair<std::string, std::int32_t>>
      words_;  // every piece by its bytes, sorted; with ignore_merges only
};

}  // namespace graft
