#pragma once

#include <string_view>

namespace graft {

/// U+2581, which sentencepiece writes for a space.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

/// Tells whether text may be cut before each run of spaces without changing its tokens: where no token holds
/// a space after another character, nothing is ever merged across such a place.
class SpaceWords {
 public:
  /// Takes a token of the vocabulary into account, spelled with U+2581.
  void add(std::string_view token);
  bool may_cut() const { return may_cut_; }

  /// Bytes of the first word of `text` (not empty): up to the first space that follows something else.
  /// `space` is how the text spells a space: " " or U+2581; the other one is never cut before, and counts as
  /// a space.
  static std::size_t first_word(std::string_view text, std::string_view space);

 private:
  bool may_cut_ = true;
};

}  // namespace graft
