#pragma once

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

}  // namespace graft
