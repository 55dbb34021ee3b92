#include "text/space_words.h"

#include <algorithm>

namespace graft {
namespace {

constexpr std::size_t kMaxJoined = 8;

std::string_view last_character(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0U) == 0x80U) --begin;
  return text.substr(begin);
}

}  // namespace

void SpaceWords::add(std::string_view token) {
  for (std::size_t at = token.find(kSpaceMark); at != std::string_view::npos;
       at = token.find(kSpaceMark, at + kSpaceMark.size())) {
    if (at == 0 || joined_.size() > kMaxJoined) continue;
    const std::string_view before = last_character(token.substr(0, at));
    if (before != kSpaceMark && std::ranges::find(joined_, before) == joined_.end())
      joined_.emplace_back(before);
  }
}

bool SpaceWords::may_cut() const { return joined_.size() <= kMaxJoined; }

std::size_t SpaceWords::first_word(std::string_view text, std::string_view space) const {
  for (std::size_t at = text.find(space, 1); at != std::string_view::npos; at = text.find(space, at + 1)) {
    const std::string_view before = text.substr(0, at);
    if (before.ends_with(' ') || before.ends_with(kSpaceMark)) continue;
    if (std::ranges::none_of(joined_, [&](const std::string& c) { return before.ends_with(c); })) return at;
  }
  return text.size();
}

}  // namespace graft
