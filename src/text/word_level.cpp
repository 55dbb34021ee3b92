#include "text/word_level.h"

#include "base/error.h"
#include "base/text.h"

namespace graft {

WordLevel::WordLevel(const Vocabulary& vocabulary, std::optional<std::int32_t> unknown) : unknown_(unknown) {
  for (std::int32_t id = 0; id < vocabulary.size(); ++id)
    if (vocabulary.has(id)) ids_.add(vocabulary.spelling(id), id);
}

void WordLevel::encode(std::string_view word, std::vector<Piece>& pieces) const {
  const std::int32_t id = ids_.find(word);
  if (id == StringIds::kNone && !unknown_)
    fail("the word `", printable(word),
         "` is not in the tokenizer's vocabulary, and it has no unknown token");
  pieces.push_back({id == StringIds::kNone ? *unknown_ : id, {0, word.size()}});
}

}  // namespace graft
