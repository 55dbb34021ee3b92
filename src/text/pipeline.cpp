#include "text/pipeline.h"

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::size_t kMaxAddedTokenBytes = 4096;

}  // namespace

void Tokenizer::Pipeline::add_token(const AddedToken& token, std::string_view where) {
  check(!token.content.empty(), where, ": an added token without text");
  check(token.content.size() <= kMaxAddedTokenBytes, where, ": an added token of ", token.content.size(),
        " bytes, want at most ", kMaxAddedTokenBytes);
  const TokenKind kind = token.special ? TokenKind::kSpecial : TokenKind::kAdded;
  if (const auto known = vocabulary.find(token.content)) {
    check(*known == token.id, where, ": added token `", printable(token.content), "` has id ", token.id,
          ", but the vocabulary has it as id ", *known);
    vocabulary.set_kind(token.id, kind);
  } else {
    vocabulary.add(token.content, token.id, kind, where);
  }
  const bool normalized = token.normalized && normalizer == Normalizer::kNfc;
  (token.normalized ? normalized_tokens : raw_tokens)
      .add(token, normalized ? to_nfc(token.content) : token.content);
}

void add_surrounding(Tokenizer::Pipeline& pipeline, std::optional<std::int32_t> bos,
                     std::optional<std::int32_t> eos) {
  SurroundingTokens added;
  if (bos) added.before.push_back(*bos);
  if (eos) added.after.push_back(*eos);
  for (const PostProcessorStep& step : pipeline.post_processor) {
    const auto* present = std::get_if<SurroundingTokens>(&step);
    if (present == nullptr) continue;
    for (const std::int32_t id : present->before) std::erase(added.before, id);
    for (const std::int32_t id : present->after) std::erase(added.after, id);
  }
  if (!added.before.empty() || !added.after.empty()) pipeline.post_processor.emplace_back(std::move(added));
}

}  // namespace graft
