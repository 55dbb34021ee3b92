#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"
#include "store/gguf.h"
#include "text/bpe.h"
#include "text/pipeline.h"
#include "text/pre_kind.h"
#include "text/space_words.h"
#include "text/tokenizer_json.h"

// Source: ggml/docs/gguf.md (tokenizer.ggml.*).

namespace graft {
namespace {

constexpr std::int64_t kControl = 3, kUserDefined = 4, kUnused = 5;

const PreKind& pre_kind_of(const GgufFile& file) {
  const std::string where = file.path().string() + ": tokenizer.ggml.pre";
  check(file.has("tokenizer.ggml.pre"), where, ": missing, so it is not known how text is cut into words",
        Hint{"convert the model again with a current llama.cpp, or use its Hugging Face folder"});
  return find_pre_kind(file.string("tokenizer.ggml.pre"), where);
}

TokenKind kind_of(std::int64_t type) { return type == kUnused ? TokenKind::kUnused : TokenKind::kWord; }

void read_tokens(const GgufFile& file, Tokenizer::Pipeline& pipeline) {
  const std::string where = file.path().string() + ": tokenizer.ggml.tokens";
  const auto& tokens = file.strings("tokenizer.ggml.tokens");
  const auto& types = file.integers("tokenizer.ggml.token_type");
  check(types.size() == tokens.size(), file.path().string(), ": tokenizer.ggml.token_type: got ",
        types.size(), " entries, want ", tokens.size(), " as tokenizer.ggml.tokens has");
  pipeline.vocabulary.reserve(tokens.size());
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    check(!find_invalid_utf8(tokens[id]), where, ": token ", id, " is not valid UTF-8");
    pipeline.vocabulary.add(tokens[id], static_cast<std::int64_t>(id), kind_of(types[id]), where);
  }
  std::vector<PlacedToken> added;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] != kControl && types[id] != kUserDefined) continue;
    added.push_back(
        {{.content = tokens[id], .id = static_cast<std::int32_t>(id), .special = types[id] == kControl},
         where});
  }
  pipeline.add_tokens(added);
}

std::unique_ptr<Bpe> read_bpe(const GgufFile& file, const PreKind& kind, const Vocabulary& vocabulary) {
  const std::string where = file.path().string() + ": tokenizer.ggml.merges";
  std::vector<Bpe::Merge> merges;
  for (const std::string& merge : file.strings("tokenizer.ggml.merges")) {
    const std::size_t space = merge.find(' ', 1);  // a token may be a space only where it is not spelled "Ġ"
    if (space == std::string::npos || space + 1 == merge.size())
      fail(where, "/", merges.size(), ": got `", printable(merge), "`, want two tokens with a space between");
    merges.emplace_back(std::string_view(merge).substr(0, space), std::string_view(merge).substr(space + 1));
  }
  BpeOptions options;
  options.ignore_merges = kind.ignore_merges;
  return std::make_unique<Bpe>(vocabulary, merges, options, where);
}

std::optional<std::int32_t> read_id(const GgufFile& file, std::string_view key,
                                    const Vocabulary& vocabulary) {
  if (!file.has(key)) return std::nullopt;
  const std::int64_t id = file.integer(key);
  check(vocabulary.has(id), file.path().string(), ": ", key, ": got ", id, ", want 0 to ",
        vocabulary.size() - 1);
  return static_cast<std::int32_t>(id);
}

// The vocabulary of a sentencepiece model. Pieces of the user's own may be spelled with real spaces.
SentencepieceProto read_pieces(const GgufFile& file, SentencepieceProto::Kind kind) {
  const auto& tokens = file.strings("tokenizer.ggml.tokens");
  const auto& scores = file.numbers("tokenizer.ggml.scores");
  const auto& types = file.integers("tokenizer.ggml.token_type");
  check(types.size() == tokens.size() && scores.size() == tokens.size(), file.path().string(),
        ": tokenizer.ggml.scores and token_type: got ", scores.size(), " and ", types.size(),
        " entries, want ", tokens.size(), " as tokenizer.ggml.tokens has");
  SentencepieceProto proto;
  proto.kind = kind;
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] < 1 || types[id] > 6)
      fail(file.path().string(), ": tokenizer.ggml.token_type/", id, ": got ", types[id], ", want 1 to 6");
    const auto type = static_cast<SentencepieceProto::Type>(types[id]);
    std::string text;
    for (const char c : tokens[id]) text += c == ' ' ? std::string(kSpaceMark) : std::string(1, c);
    proto.pieces.push_back({std::move(text), static_cast<float>(scores[id]), type});
    proto.byte_fallback = proto.byte_fallback || type == SentencepieceProto::Type::kByte;
  }
  return proto;
}

// What transformers takes from a GGUF: the roles that the file gives a token.
void read_special_tokens(const GgufFile& file, Tokenizer::Pipeline& pipeline) {
  static constexpr std::array<std::array<std::string_view, 2>, 4> kRoles = {
      {{"bos_token", "tokenizer.ggml.bos_token_id"},
       {"eos_token", "tokenizer.ggml.eos_token_id"},
       {"unk_token", "tokenizer.ggml.unknown_token_id"},
       {"pad_token", "tokenizer.ggml.padding_token_id"}}};
  for (const auto& [role, key] : kRoles)
    if (const auto id = read_id(file, key, pipeline.vocabulary))
      pipeline.special_tokens.emplace_back(role, pipeline.vocabulary.spelling(*id));
}

// tokenizer.chat_template, and more as tokenizer.chat_template.NAME, listed in tokenizer.chat_templates.
void read_chat_templates(const GgufFile& file, Tokenizer::Pipeline& pipeline) {
  const std::string key = "tokenizer.chat_template", list = "tokenizer.chat_templates";
  if (file.has(key)) pipeline.chat_templates.push_back({"default", file.string(key)});
  if (!file.has(list)) return;
  for (const std::string& name : file.strings(list))
    if (file.has(key + "." + name)) pipeline.chat_templates.push_back({name, file.string(key + "." + name)});
}

bool read_flag(const GgufFile& file, std::string_view key, bool otherwise) {
  return file.has(key) ? file.boolean(key) : otherwise;
}

// Some converters write the unknown piece as a control token.
void mark_unknown(const GgufFile& file, SentencepieceProto& proto) {
  const auto is_unknown = [](const auto& piece) { return piece.type == SentencepieceProto::Type::kUnknown; };
  if (std::ranges::any_of(proto.pieces, is_unknown)) return;
  const std::string_view key = "tokenizer.ggml.unknown_token_id";
  const std::int64_t id = file.has(key) ? file.integer(key) : 0;
  check(id >= 0 && id < static_cast<std::int64_t>(proto.pieces.size()), file.path().string(), ": ", key,
        ": got ", id, ", want less than ", proto.pieces.size());
  proto.pieces[static_cast<std::size_t>(id)].type = SentencepieceProto::Type::kUnknown;
}

// What the kind of model says about a file without add_bos_token, as llama.cpp has it.
bool use_pieces(const GgufFile& file, SentencepieceProto::Kind kind, Tokenizer::Pipeline& pipeline) {
  SentencepieceProto proto = read_pieces(file, kind);
  mark_unknown(file, proto);
  proto.bos = proto.eos = proto.pad = -1;
  proto.remove_extra_whitespaces = read_flag(file, "tokenizer.ggml.remove_extra_whitespaces", false);
  if (file.has("tokenizer.ggml.precompiled_charsmap"))
    for (const std::int64_t byte : file.integers("tokenizer.ggml.precompiled_charsmap"))
      proto.charsmap += static_cast<char>(byte);
  const std::string where = file.path().string() + ": tokenizer.ggml";
  check_sentencepiece(proto, where);
  const bool prefixed = read_flag(file, "tokenizer.ggml.add_space_prefix", true);
  use_sentencepiece(proto, prefixed ? PrependScheme::kAlways : PrependScheme::kNever, where, pipeline);
  add_control_pieces(proto, where, pipeline);
  return kind == SentencepieceProto::Kind::kBpe;
}

bool use_byte_level(const GgufFile& file, Tokenizer::Pipeline& pipeline) {
  const PreKind& kind = pre_kind_of(file);
  if (kind.nfc) pipeline.normalizer = Normalizer({UnicodeForm::kNfc});
  read_tokens(file, pipeline);
  const Json pre_tokenizer = kind.pre_tokenizer();
  pipeline.pre_tokenizer = PreTokenizer(read_pre_tokenizer(JsonView(pre_tokenizer, std::string(kind.name))));
  pipeline.model = read_bpe(file, kind, pipeline.vocabulary);
  pipeline.decoder = TokenDecoder({DecodeByteLevel{}});
  return kind.adds_bos;
}

// Fills the pipeline; returns whether text gets a beginning where the file does not say.
bool use_model(const GgufFile& file, Tokenizer::Pipeline& pipeline) {
  const std::string& model = file.string("tokenizer.ggml.model");
  if (model == "gpt2") return use_byte_level(file, pipeline);
  if (model == "llama") return use_pieces(file, SentencepieceProto::Kind::kBpe, pipeline);
  if (model == "t5") return use_pieces(file, SentencepieceProto::Kind::kUnigram, pipeline);
  fail(file.path().string(), ": tokenizer.ggml.model: `", printable(model), "` is not supported",
       Hint{"supported: gpt2 (byte-level BPE), llama and t5 (sentencepiece)"});
}

}  // namespace

std::shared_ptr<const Tokenizer::Pipeline> load_tokenizer_gguf(const Path& path) {
  const GgufFile file(path);
  check(file.has("tokenizer.ggml.model"), path.string(),
        ": has no tokenizer (tokenizer.ggml.model is missing)");
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  const bool adds_bos = use_model(file, *pipeline);
  pipeline->bos = read_id(file, "tokenizer.ggml.bos_token_id", pipeline->vocabulary);
  pipeline->eos = read_id(file, "tokenizer.ggml.eos_token_id", pipeline->vocabulary);
  pipeline->pad = read_id(file, "tokenizer.ggml.padding_token_id", pipeline->vocabulary);
  const bool add_bos = read_flag(file, "tokenizer.ggml.add_bos_token", adds_bos);
  const bool add_eos = read_flag(file, "tokenizer.ggml.add_eos_token", false);
  add_surrounding(*pipeline, add_bos ? pipeline->bos : std::nullopt, add_eos ? pipeline->eos : std::nullopt);
  read_special_tokens(file, *pipeline);
  read_chat_templates(file, *pipeline);
  return pipeline;
}

}  // namespace graft
