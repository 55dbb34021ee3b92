#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/string_ids.h"

namespace graft {

/// The largest id of a vocabulary that is taken for real; the largest known ones have some 260,000.
inline constexpr std::int32_t kMaxTokenId = (1 << 22) - 1;

/// How a token came into the vocabulary.
enum class TokenKind : std::uint8_t {
  kNone,     ///< no token has this id
  kWord,     ///< a piece of the model, in the model's own spelling
  kAdded,    ///< an added token, spelled as it is
  kSpecial,  ///< an added token that decoding leaves out
  kUnused,   ///< a place holder: has an id, never comes out of text
};

/// Ids and their spellings, each id and each spelling once.
class Vocabulary {
 public:
  /// Makes room for so many tokens.
  void reserve(std::size_t count);
  /// Adds a token. Errors, started by `where`: id outside [0, kMaxTokenId], id or spelling already taken,
  /// empty spelling of an added token.
  void add(std::string_view spelling, std::int64_t id, TokenKind kind, std::string_view where);
  /// Makes a token of the vocabulary an added one.
  void set_kind(std::int32_t id, TokenKind kind) { tokens_[static_cast<std::size_t>(id)].kind = kind; }

  std::optional<std::int32_t> find(std::string_view spelling) const;
  /// True where a token has this id.
  bool has(std::int64_t id) const;
  /// Highest id + 1.
  std::int32_t size() const { return static_cast<std::int32_t>(tokens_.size()); }
  const std::string& spelling(std::int32_t id) const {
    return tokens_[static_cast<std::size_t>(id)].spelling;
  }
  TokenKind kind(std::int32_t id) const { return tokens_[static_cast<std::size_t>(id)].kind; }
  /// True of tokens that are found in text as they stand.
  bool is_added(std::int32_t id) const {
    return kind(id) == TokenKind::kAdded || kind(id) == TokenKind::kSpecial;
  }

 private:
  struct Token {
    std::string spelling;
    TokenKind kind = TokenKind::kNone;
  };
  std::vector<Token> tokens_;
  StringIds ids_;
};

}  // namespace graft
