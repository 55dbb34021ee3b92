#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_trie.h"
#include "text/regex.h"
#include "text/tokenizer.h"

namespace graft {

/// Whether Unicode calls the character white space (White_Space).
bool is_white_space(std::uint32_t c);

/// A token that is found in text as it stands, before the text is cut into words.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool special = false;
  bool normalized = false;   ///< looked for in normalized text, in its own normalized form
  bool single_word = false;  ///< only where no letter, digit or mark touches it
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< takes the white space after it along
};

/// Finds added tokens in text, the longest of those that start leftmost. Source: tokenizers,
/// added_vocabulary.rs.
class AddedTokenFinder {
 public:
  /// A stretch of text, and the added token it is, if any.
  struct Part {
    std::optional<std::int32_t> id;
    ByteSpan range;
  };

  AddedTokenFinder();
  /// `pattern` is what to look for: the content, or its normalized form.
  void add(const AddedToken& token, std::string_view pattern);
  bool empty() const { return tokens_.empty(); }
  /// The text as tokens and stretches between them, in order.
  std::vector<Part> split(std::string_view text, Regex::Scratch& scratch) const;

 private:
  struct Match {
    const AddedToken* token;
    ByteSpan range;
  };
  std::optional<Match> longest_at(std::string_view text, std::size_t begin) const;
  bool touches_word(std::string_view text, ByteSpan range, Regex::Scratch& scratch) const;

  std::vector<AddedToken> tokens_;
  ByteTrie trie_;  // of the patterns: index of the token
  Regex word_character_;
};

}  // namespace graft
