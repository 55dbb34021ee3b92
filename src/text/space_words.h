#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace graft {

/// U+2581, which sentencepiece writes for a space.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

/// Tells where text may be cut before a run of spaces without changing its tokens: where no token holds a
/// space after the character that stands there, nothing is ever merged across the place.
class SpaceWords {
 public:
  /// Takes a token of the vocabulary into account, spelled with U+2581.
  void add(std::string_view token);
  /// False where so many tokens hold spaces that looking for places does not pay.
  bool may_cut() const;

  /// Bytes of the first word of `text` (not empty): up to the first space that follows something else and may
  /// be cut before. `space` is how the text spells a space: " " or U+2581; the other one is never cut before,
  /// and counts as a space.
  std::size_t first_word(std::string_view text, std::string_view space) const;

 private:
  std::vector<std::string> joined_;  // characters before a space inside a token
};

}  // namespace graft
