#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/double_array.h"
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

  /// What to look for: the content of the token, or its normalized form.
  struct Pattern {
    std::string text;
    AddedToken token;
  };

  AddedTokenFinder();
  /// Looks for these too. Of two patterns with one text the first counts; empty ones are never found. All is
  /// built anew at each call: give many at once.
  void add(std::span<const Pattern> patterns);
  bool empty() const { return patterns_.empty(); }
  /// The text as tokens and stretches between them, in order.
  std::vector<Part> split(std::string_view text, Regex::Scratch& scratch) const;

 private:
  struct Match {
    const AddedToken* token;
    ByteSpan range;
  };
  std::optional<Match> longest_at(std::string_view text, std::size_t begin) const;
  bool touches_word(std::string_view text, ByteSpan range, Regex::Scratch& scratch) const;

  std::vector<Pattern> patterns_;
  DoubleArray trie_{{}};  // of their texts: the index
  Regex word_character_;
};

}  // namespace graft
