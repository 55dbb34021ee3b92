#include "text/pipeline.h"

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::size_t kMaxAddedTokenBytes = 4096;

void put_added(const PlacedToken& placed, Vocabulary& vocabulary) {
  const auto& [token, where] = placed;
  check(!token.content.empty(), where, ": an added token without text");
  check(token.content.size() <= kMaxAddedTokenBytes, where, ": an added token of ", token.content.size(),
        " bytes, want at most ", kMaxAddedTokenBytes);
  const TokenKind kind = token.special ? TokenKind::kSpecial : TokenKind::kAdded;
  const auto known = vocabulary.find(token.content);
  if (!known) return vocabulary.add(token.content, token.id, kind, where);
  if (*known != token.id)
    fail(where, ": added token `", printable(token.content), "` has id ", token.id,
         ", but the vocabulary has it as id ", *known);
  vocabulary.set_kind(token.id, kind);
}

}  // namespace

void Tokenizer::Pipeline::add_tokens(std::span<const PlacedToken> tokens) {
  std::vector<AddedTokenFinder::Pattern> raw, normalized;
  Regex::Scratch scratch;
  for (const PlacedToken& placed : tokens) {
    put_added(placed, vocabulary);
    const AddedToken& token = placed.token;
    if (!token.normalized || sentencepiece)
      raw.push_back({token.content, token});
    else
      normalized.push_back({std::string(normalizer.apply(token.content, 0, scratch)->text()), token});
  }
  raw_tokens.add(raw);
  normalized_tokens.add(normalized);
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
  std::vector<PlacedToken> tokens;
  for (const auto& [text, id] :
       pieces_of(proto, [](Type type) { return type == Type::kUnknown || type == Type::kControl; }))
    if (!pipeline.vocabulary.is_added(id))
      tokens.push_back({{.content = std::string(text), .id = id, .special = true}, std::string(where)});
  pipeline.add_tokens(tokens);
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
