#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/space_words.h"
#include "text/string_ids.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"
#include "text/word_model.h"

namespace graft {

/// What the symbols are that merging starts from.
enum class Symbols {
  kBytes,       ///< bytes; the vocabulary spells them in GPT-2's alphabet
  kCharacters,  ///< characters, spelled as they are
};

/// What a BPE model does beside its merges.
struct BpeOptions {
  Symbols symbols = Symbols::kBytes;
  bool ignore_merges = false;  ///< a word that is a token itself is not merged
  bool byte_fallback =
      false;  ///< kCharacters: a character that the vocabulary lacks becomes its bytes, "<0x0A>"
  std::optional<std::int32_t>
      unknown;                ///< stands for symbols that the vocabulary lacks; without it they vanish
  bool fuse_unknown = false;  ///< one unknown token for a run of such symbols
};

/// A token of a ranks file: its bytes and its id. The lower the rank, the earlier it is merged.
struct RankedToken {
  std::string bytes;
  std::int32_t rank;
  std::int32_t id;
};

/// Byte-pair encoding: the pair of lowest rank is merged first, the leftmost of equals. n log n in the length
/// of a word; words that come again are remembered. Safe to share between threads.
/// Sources: Sennrich et al. 2016; tokenizers, models/bpe/{model,word}.rs; tiktoken, lib.rs.
class Bpe : public WordModel {
 public:
  using Merge = std::pair<std::string_view, std::string_view>;

  /// Merges in order of rank, by spelling. Errors, started by `where` and the merge's number: a part or the
  /// whole is not in the vocabulary.
  Bpe(const Vocabulary& vocabulary, const std::vector<Merge>& merges, const BpeOptions& options,
      std::string_view where);
  /// A model of ranks: any two tokens merge whose bytes together are a token, and a word that is a token is
  /// not merged. Error, started by `where`: a token stands twice, or one of the 256 bytes is missing.
  Bpe(const std::vector<RankedToken>& tokens, std::string_view where);
  ~Bpe() override;

  void encode(std::string_view word, std::vector<Piece>& pieces) const override;

 private:
  class MergeTable;
  class CharacterTable;
  void add_characters(const Vocabulary& vocabulary);
  void add_words(const Vocabulary& vocabulary);
  void encode_part(std::string_view word, std::vector<Piece>& pieces) const;
  void merge(std::string_view word, std::vector<Piece>& pieces) const;
  std::optional<std::int32_t> whole_word(std::string_view word) const;

  std::array<std::int32_t, 256> byte_ids_;  // -1: not in the vocabulary; kCharacters: of "<0x00>" to "<0xFF>"
  std::unique_ptr<CharacterTable> characters_;  // kCharacters only
  std::unique_ptr<MergeTable> merges_;
  std::unique_ptr<WordCache> cache_;
  BpeOptions options_;
  SpaceWords space_words_;  // kCharacters only
  bool by_words_ = false;   // words are merged one by one
  StringIds words_;         // every piece by its bytes; with ignore_merges only
};

}  // namespace graft
