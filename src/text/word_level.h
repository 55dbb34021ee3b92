#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "text/string_ids.h"
#include "text/vocabulary.h"
#include "text/word_model.h"

namespace graft {

/// Each word is a token or unknown. Source: tokenizers, models/wordlevel/mod.rs.
class WordLevel : public WordModel {
 public:
  /// Takes the words of the vocabulary as it is now; a word that is none of them becomes `unknown`.
  WordLevel(const Vocabulary& vocabulary, std::optional<std::int32_t> unknown);
  /// Error where a word is not in the vocabulary and there is no unknown token.
  void encode(std::string_view word, std::vector<Piece>& pieces) const override;

 private:
  StringIds ids_;
  std::optional<std::int32_t> unknown_;
};

}  // namespace graft
