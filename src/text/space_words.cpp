#include "text/space_words.h"

namespace graft {

void SpaceWords::add(std::string_view token) {
  for (std::size_t at = token.find(kSpaceMark); at != std::string_view::npos;
       at = token.find(kSpaceMark, at + kSpaceMark.size()))
    if (at > 0 && !token.substr(0, at).ends_with(kSpaceMark)) may_cut_ = false;
}

std::size_t SpaceWords::first_word(std::string_view text, std::string_view space) {
  for (std::size_t at = text.find(space, 1); at != std::string_view::npos; at = text.find(space, at + 1)) {
    const std::string_view before = text.substr(0, at);
    if (!before.ends_with(' ') && !before.ends_with(kSpaceMark)) return at;
  }
  return text.size();
}

}  // namespace graft
