#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "data/row.h"
#include "text/tokenizer.h"

namespace graft {

/// The control tokens of a tokenizer ("<|im_end|>", "</s>"). Inside a user's text they are parsed as Hugging
/// Face does, which lets the text end turns; so they are looked for and reported.
class ControlTokens {
 public:
  explicit ControlTokens(const Tokenizer& tokenizer);
  /// The control tokens that occur in `text`, in order; the longest one where several begin at one place.
  std::vector<std::string> find(std::string_view text) const;
  /// The control tokens inside the texts of a row (none for token rows, whose ids are verbatim).
  std::vector<std::string> find(const RowValue& row) const;

 private:
  std::array<std::vector<std::string>, 256> by_first_byte_;  ///< longest first
};

}  // namespace graft
