#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace graft {

/// Takes the white space at both ends of a token out of its offsets. Source: tokenizers,
/// pre_tokenizers/byte_level.rs.
struct TrimOffsets {
  bool add_prefix_space = false;  ///< the first token keeps a single leading space: it may have been put in
};

/// Tokens put before and after the text; their offsets are empty, at 0.
struct SurroundingTokens {
  std::vector<std::int32_t> before, after;
};

using PostProcessorStep = std::variant<TrimOffsets, SurroundingTokens>;

/// Applies the steps to an encoding of `text`; SurroundingTokens only where `special` says so.
void post_process(const std::vector<PostProcessorStep>& steps, std::string_view text,
                  const Vocabulary& vocabulary, SpecialTokens special, Encoding& encoding);

}  // namespace graft
