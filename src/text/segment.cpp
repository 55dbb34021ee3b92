#include "text/segment.h"

namespace graft {

ByteSpan Segment::original(ByteSpan range) const {
  if (changed_) return {spans_[range.begin].begin, spans_[range.end - 1].end};
  const auto inside_character = [&](std::size_t i) {
    return i < text_.size() && (static_cast<unsigned char>(text_[i]) & 0xC0U) == 0x80U;
  };
  while (inside_character(range.begin)) --range.begin;
  while (inside_character(range.end)) ++range.end;
  return {base_ + range.begin, base_ + range.end};
}

}  // namespace graft
