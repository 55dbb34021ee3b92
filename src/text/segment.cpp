#include "text/segment.h"

#include "base/text.h"

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

std::unique_ptr<Segment> transformed(const Segment& old, const std::vector<TracedCharacter>& characters,
                                     std::size_t removed) {
  SegmentBuilder built(old);
  const std::string_view text = old.text();
  std::size_t position = 0;  // in the old text: behind the characters already accounted for
  const auto take = [&] {
    const std::size_t begin = position;
    position += code_point_at(text, begin).length;
    return old.original({begin, position});
  };
  const std::size_t start = text.empty() ? 0 : old.original({0, 1}).begin;
  ByteSpan last{start, start};
  for (std::size_t i = 0; i < removed && position < text.size(); ++i) last = take();
  std::string spelling;
  for (const TracedCharacter& c : characters) {
    ByteSpan span = last;
    if (c.change <= 0 && position < text.size()) {
      span = last = take();
      for (int i = 0; i < -c.change && position < text.size(); ++i) last = take();
    }
    spelling.clear();
    append_utf8(spelling, c.value);
    built.put(spelling, span);
  }
  return built.take();
}

void SegmentBuilder::copy(ByteSpan range) {
  text_ += old_.text(range);
  for (std::size_t i = range.begin; i < range.end; ++i) spans_.push_back(old_.original({i, i + 1}));
}

void SegmentBuilder::put(std::string_view text, ByteSpan original) {
  text_ += text;
  spans_.resize(text_.size(), original);
}

}  // namespace graft
