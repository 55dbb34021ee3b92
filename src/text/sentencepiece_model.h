#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "text/sentencepiece_proto.h"
#include "text/space_words.h"
#include "text/word_cache.h"
#include "text/word_model.h"

namespace graft {

/// Whether a space is put before a text, so that its first word is spelled as one inside a text.
enum class DummyPrefix { kAdd, kNone };

/// A sentencepiece model, normalized by its own library and searched as it does; ids are the
/// library's. Where the rules of the model allow it the text goes through word by word and words are
/// remembered. Safe to share between threads.
class SentencepieceModel {
 public:
  /// The model must have passed check_sentencepiece; `add_dummy_prefix` in it is not looked at. Error,
  /// started by `where`, where the library refuses it.
  SentencepieceModel(const SentencepieceProto& proto, std::string_view where);
  ~SentencepieceModel();

  /// Appends the tokens of `text` (valid UTF-8). Ranges are those of the library, of bytes of `text`; a
  /// prefix that was put in has no bytes; all bytes of one character that the vocabulary lacks have the
  /// range of the character.
  void encode(std::string_view text, DummyPrefix prefix, std::vector<Piece>& pieces) const;

 private:
  struct Library;
  void encode_by_words(std::string_view text, DummyPrefix prefix, std::vector<Piece>& pieces) const;
  void encode_word(std::string_view word, std::size_t base, std::vector<Piece>& pieces) const;

  std::unique_ptr<Library> library_;
  std::unique_ptr<WordCache> cache_;
  SpaceWords words_;
  bool by_words_ = false;
};

}  // namespace graft
