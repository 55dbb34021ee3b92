#include "text/vocabulary.h"

#include "base/error.h"
#include "base/text.h"

namespace graft {

void Vocabulary::add(std::string_view spelling, std::int64_t id, TokenKind kind, std::string_view where) {
  // check() would build its message for each of the tokens.
  if (id < 0 || id > kMaxTokenId)
    fail(where, ": token `", printable(spelling), "` has id ", id, ", want 0 to ", kMaxTokenId);
  const auto index = static_cast<std::size_t>(id);
  if (index >= tokens_.size()) tokens_.resize(index + 1);
  Token& token = tokens_[index];
  if (token.kind != TokenKind::kNone) {
    fail(where, ": tokens `", printable(token.spelling), "` and `", printable(spelling),
         "` have the same id ", id);
  }
  if (!ids_.add(spelling, static_cast<std::int32_t>(id)))
    fail(where, ": token `", printable(spelling), "` stands twice, as id ", ids_.find(spelling),
         " and as id ", id);
  token = {std::string(spelling), kind};
}

void Vocabulary::reserve(std::size_t count) {
  tokens_.reserve(count);
  ids_.reserve(count);
}

std::optional<std::int32_t> Vocabulary::find(std::string_view spelling) const {
  const std::int32_t id = ids_.find(spelling);
  return id == StringIds::kNone ? std::nullopt : std::optional(id);
}

bool Vocabulary::has(std::int64_t id) const {
  return id >= 0 && id < size() && tokens_[static_cast<std::size_t>(id)].kind != TokenKind::kNone;
}

}  // namespace graft
