#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace graft {

/// A stretch of normalized text that knows the bytes of the original text behind each of its bytes.
class Segment {
 public:
  /// The bytes [base, base + text.size()) of the original, unchanged.
  Segment(std::string_view text, std::size_t base) : text_(text), base_(base) {}
  /// Changed text: spans[i] are the original bytes behind byte i (all bytes of one character have the same).
  Segment(std::string text, std::vector<ByteSpan> spans)
      : owned_(std::move(text)), text_(owned_), spans_(std::move(spans)), changed_(true) {}
  Segment(const Segment&) = delete;

  std::string_view text() const { return text_; }
  std::string_view text(ByteSpan range) const { return text_.substr(range.begin, range.end - range.begin); }
  /// The original bytes behind `range`, widened to whole characters. range must not be empty.
  ByteSpan original(ByteSpan range) const;

 private:
  std::string owned_;
  std::string_view text_;
  std::size_t base_ = 0;
  std::vector<ByteSpan> spans_;
  bool changed_ = false;
};

/// A character on its way through a change of text. `change` as in Hugging Face's tokenizers: 0 replaces a
/// character of the old text, 1 was inserted after one, -n replaces one and swallows the n after it.
struct TracedCharacter {
  std::uint32_t value;
  int change;
};

/// The segment whose text is `characters`; the first `removed` characters of the old text are swallowed.
/// Inserted characters stand for what the one before them stands for, at the start for nothing.
/// Source: tokenizers, tokenizer/normalizer.rs, transform_range.
std::unique_ptr<Segment> transformed(const Segment& old, const std::vector<TracedCharacter>& characters,
                                     std::size_t removed = 0);

/// Builds a changed segment from pieces of an old one and new text.
class SegmentBuilder {
 public:
  explicit SegmentBuilder(const Segment& old) : old_(old) {}
  std::size_t size() const { return text_.size(); }
  /// Appends bytes of the old text.
  void copy(ByteSpan range);
  /// Appends new text that stands for `original`.
  void put(std::string_view text, ByteSpan original);
  std::unique_ptr<Segment> take() { return std::make_unique<Segment>(std::move(text_), std::move(spans_)); }

 private:
  const Segment& old_;
  std::string text_;
  std::vector<ByteSpan> spans_;
};

}  // namespace graft
