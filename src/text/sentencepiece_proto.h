#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace graft {

/// What a sentencepiece model file says, checked. Source: sentencepiece, src/sentencepiece_model.proto.
struct SentencepieceProto {
  enum class Kind : std::uint8_t { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };
  enum class Type : std::uint8_t {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,      ///< never comes out of text
    kUserDefined = 4,  ///< found in text before anything is merged
    kUnused = 5,
    kByte = 6,  ///< "<0x00>" to "<0xFF>"
  };
  /// Whether text may become a piece of this type (as characters, before unused ones are taken apart).
  static bool is_in_text(Type type);
  struct Piece {
    std::string text;  ///< with U+2581 for a space
    float score = 0;
    Type type = Type::kNormal;
  };

  std::vector<Piece> pieces;  ///< by id
  Kind kind = Kind::kUnigram;
  bool byte_fallback = false;
  bool whitespace_as_suffix = false;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  std::string charsmap;                            ///< precompiled normalization rules, or empty
  std::string unknown_surface = " \xE2\x81\x87 ";  ///< what the unknown piece is decoded to
  std::int64_t bos = 1, eos = 2, pad = -1;         ///< ids; -1: none
};

/// The model in `bytes`, a tokenizer.model. Nothing is trusted: lengths, wire types, UTF-8, scores, ids and
/// the trie of normalization rules are checked (check_sentencepiece). Errors start with `where` and name the
/// byte or the piece.
SentencepieceProto parse_sentencepiece(std::span<const std::byte> bytes, std::string_view where);

/// Error, started by `where`, unless the sentencepiece library can take the model without harm: pieces that
/// are not empty, short and each there once, one unknown piece, finite scores, all byte pieces or none, ids
/// within range.
void check_sentencepiece(const SentencepieceProto& proto, std::string_view where);

/// Texts and ids of the pieces whose types are `wanted`; the texts are the proto's own.
std::vector<std::pair<std::string_view, std::int32_t>> pieces_of(
    const SentencepieceProto& proto, bool (*wanted)(SentencepieceProto::Type type));

/// The model as a file that holds what the struct holds and nothing else.
std::string serialize_sentencepiece(const SentencepieceProto& proto);

}  // namespace graft
