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
  if (!token.normalized || sentencepiece) return raw_tokens.add(token, token.content);
  Regex::Scratch scratch;
  normalized_tokens.add(token, normalizer.apply(token.content, 0, scratch)->text());
}

void use_sentencepiece(const SentencepieceProto& proto, PrependScheme prefix, std::string_view where,
                       Tokenizer::Pipeline& pipeline) {
  using Type = SentencepieceProto::Type;
  pipeline.vocabulary.reserve(proto.pieces.size());
  for (std::size_t id = 0; id < proto.pieces.size(); ++id) {
    const TokenKind kind = proto.pieces[id].type == Type::kUnused ? TokenKind::kUnused : TokenKind::kWord;
    pipeline.vocabulary.add(proto.pieces[id].text, static_cast<std::int64_t>(id), kind, where);
  }
  pipeline.sentencepiece = std::make_unique<SentencepieceModel>(proto, where);
  pipeline.prefix = prefix;
  const bool prefixed = prefix != PrependScheme::kNever;
  pipeline.decoder = TokenDecoder({DecodeSentencepiece{.bytes = proto.byte_fallback,
                                                       .strip_prefix = prefixed,
                                                       .strip_leading = proto.remove_extra_whitespaces}});
}

void add_control_pieces(const SentencepieceProto& proto, std::string_view where,
                        Tokenizer::Pipeline& pipeline) {
  using Type = SentencepieceProto::Type;
  for (std::size_t i = 0; i < proto.pieces.size(); ++i) {
    const auto& piece = proto.pieces[i];
    const auto id = static_cast<std::int32_t>(i);
    if (piece.type != Type::kUnknown && piece.type != Type::kControl) continue;
    if (!pipeline.vocabulary.is_added(id))
      pipeline.add_token({.content = piece.text, .id = id, .special = true}, where);
  }
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
