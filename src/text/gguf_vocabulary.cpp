#include "text/gguf_vocabulary.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/console.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "text/pipeline.h"
#include "text/pre_kind.h"
#include "text/sentencepiece_proto.h"
#include "text/space_words.h"

namespace graft {
namespace {

constexpr std::uint64_t kMaxModelBytes = 64 << 20;
constexpr std::int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;
constexpr float kAddedScore = -1000.0F;  // of tokens that never come of merging, as converters write it

/// What GGUF says of every id.
struct TokenLists {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
};

std::string key(std::string_view name) { return "tokenizer.ggml." + std::string(name); }

bool is_byte(std::string_view spelling) {
  return spelling.size() == 6 && spelling.starts_with("<0x") && spelling.ends_with('>');
}

std::string with_spaces(std::string text) {
  for (std::size_t at = text.find(kSpaceMark); at != std::string::npos; at = text.find(kSpaceMark, at + 1))
    text.replace(at, kSpaceMark.size(), " ");
  return text;
}

/// Spelling and type of every id below `rows`; all scores those of added tokens.
TokenLists spellings(const Tokenizer::Pipeline& pipeline, std::int64_t rows, const Path& folder) {
  const auto& known = pipeline.vocabulary;
  if (known.size() > rows)
    warn(folder.string() + ": the tokenizer has " + std::to_string(known.size()) + " tokens, the embedding " +
         std::to_string(rows) + " rows: the tokens behind them are left out");
  TokenLists lists;
  for (std::int32_t id = 0; id < rows; ++id) {
    const TokenKind kind = known.has(id) ? known.kind(id) : TokenKind::kNone;
    const bool there = kind != TokenKind::kNone;
    lists.tokens.push_back(there ? known.spelling(id) : "[PAD" + std::to_string(id) + "]");
    lists.types.push_back(kind == TokenKind::kSpecial ? kControl
                          : kind == TokenKind::kAdded ? kUserDefined
                          : kind == TokenKind::kWord  ? kNormal
                                                      : kUnused);
    lists.scores.push_back(kAddedScore);
  }
  return lists;
}

/// merges of a tokenizer.json, each as its two parts.
std::vector<std::pair<std::string, std::string>> merges_of(const JsonView& model) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (const Json& merge : model.at("merges").json()) {
    if (merge.is_array()) {
      merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const auto& text = merge.get_ref<const std::string&>();
    const std::size_t space = text.find(' ');
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

/// Whether tokens spell bytes, in GPT-2's alphabet.
bool is_byte_level(const Json& file) {
  const Json* step = file.contains("pre_tokenizer") ? &file["pre_tokenizer"] : nullptr;
  if (step != nullptr && step->is_object() && step->contains("pretokenizers") &&
      !(*step)["pretokenizers"].empty())
    step = &(*step)["pretokenizers"].back();
  return step != nullptr && step->is_object() && step->value("type", "") == "ByteLevel";
}

void set_byte_level(const Json& file, const Path& folder, TokenLists lists, GgufMetadata& metadata) {
  const JsonView view(file, (folder / "tokenizer.json").string());
  const PreKind* kind = matching_pre_kind(file);
  check(kind != nullptr, view.where(), "/pre_tokenizer: cuts text in a way that GGUF has no name for",
        Hint{"the Hugging Face folder can be used as it is"});
  std::vector<std::string> merges;
  for (const auto& [left, right] : merges_of(view.at("model"))) merges.push_back(left + " " + right);
  metadata.set(key("model"), "gpt2");
  metadata.set(key("pre"), std::string(kind->name));
  metadata.set(key("tokens"), std::move(lists.tokens));
  metadata.set(key("token_type"), std::move(lists.types));
  metadata.set(key("merges"), std::move(merges));
}

/// A piece is as good as the first merge that makes it is early: sentencepiece merges what scores highest.
void score_by_merges(const JsonView& model, const Tokenizer::Pipeline& pipeline, TokenLists& lists) {
  const auto scored = [&](std::int32_t id) {
    return id < static_cast<std::int32_t>(lists.scores.size()) && !pipeline.vocabulary.is_added(id);
  };
  float rank = 0;
  for (const auto& [left, right] : merges_of(model)) {
    rank += 1;
    const auto id = pipeline.vocabulary.find(left + right);
    if (!id || !scored(*id)) continue;
    float& score = lists.scores[static_cast<std::size_t>(*id)];
    if (score == kAddedScore) score = -rank;
  }
  for (std::size_t id = 0; id < lists.scores.size(); ++id) {
    if (lists.types[id] != kNormal) continue;
    if (is_byte(lists.tokens[id])) lists.types[id] = kByte, lists.scores[id] = 0;
    // Characters come last of all.
    if (lists.types[id] == kNormal && lists.scores[id] == kAddedScore) lists.scores[id] = -(rank + 1);
  }
}

void score_by_model(const Path& file, TokenLists& lists) {
  const std::string content = read_file(file, kMaxModelBytes);
  const SentencepieceProto proto = parse_sentencepiece(std::as_bytes(std::span(content)), file.string());
  check(proto.kind == SentencepieceProto::Kind::kBpe, file.string(),
        ": a unigram model, which cannot be written as GGUF yet");
  for (std::size_t id = 0; id < proto.pieces.size() && id < lists.scores.size(); ++id) {
    const auto& piece = proto.pieces[id];
    lists.scores[id] = piece.score;
    // What the other files made an added token stays one.
    if (lists.types[id] == kNormal) lists.types[id] = static_cast<std::int32_t>(piece.type);
  }
}

/// Whether text gets a space before it: seen by its first token.
bool prefixes_space(const Tokenizer& tokenizer) {
  const Encoding encoding = tokenizer.encode("a", SpecialTokens::kNone);
  return !encoding.ids.empty() && tokenizer.token(encoding.ids.front()).starts_with(kSpaceMark);
}

void set_pieces(const std::optional<Json>& file, const Path& folder, const Tokenizer::Pipeline& pipeline,
                const Tokenizer& tokenizer, TokenLists lists, GgufMetadata& metadata) {
  if (std::filesystem::exists(folder / "tokenizer.model")) {
    score_by_model(folder / "tokenizer.model", lists);
  } else {
    const JsonView model = JsonView(*file, (folder / "tokenizer.json").string()).at("model");
    const bool bpe = !model.find("type") || model.at("type").as_string() == "BPE";
    check(bpe && model.find("byte_fallback") && model.at("byte_fallback").as_bool(), model.where(),
          ": GGUF can hold BPE, on bytes or with byte_fallback, and this is neither");
    score_by_merges(model, pipeline, lists);
  }
  std::optional<std::uint32_t> unknown;
  for (const auto& [role, spelling] : pipeline.special_tokens)
    if (const auto id = pipeline.vocabulary.find(spelling); role == "unk_token" && id)
      unknown = static_cast<std::uint32_t>(*id);
  if (unknown) {
    lists.types[*unknown] = kUnknown;
    metadata.set(key("unknown_token_id"), *unknown);
  }
  for (std::size_t id = 0; id < lists.tokens.size(); ++id)
    if (lists.types[id] == kUserDefined) lists.tokens[id] = with_spaces(lists.tokens[id]);
  metadata.set(key("model"), "llama");
  metadata.set(key("pre"), "default");
  metadata.set(key("tokens"), std::move(lists.tokens));
  metadata.set(key("scores"), std::move(lists.scores));
  metadata.set(key("token_type"), std::move(lists.types));
  metadata.set(key("add_space_prefix"), prefixes_space(tokenizer));
}

void set_special_tokens(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ends,
                        GgufMetadata& metadata) {
  const auto set = [&](const char* name, std::optional<std::int32_t> id) {
    if (id) metadata.set(key(name), static_cast<std::uint32_t>(*id));
  };
  // What is put around a text shows in its ids, whoever asks for it; the beginning's role need not be named.
  const auto plain = tokenizer.encode("a", SpecialTokens::kNone).ids;
  const auto full = tokenizer.encode("a", SpecialTokens::kAdd).ids;
  const bool begins = full.size() > plain.size() && (plain.empty() || full.front() != plain.front());
  const bool finishes = full.size() > plain.size() + (begins ? 1 : 0);
  std::optional<std::int32_t> eos = tokenizer.eos();
  if (!eos && !ends.empty()) eos = ends.front();
  set("bos_token_id", begins ? std::optional(full.front()) : tokenizer.bos());
  set("eos_token_id", finishes ? std::optional(full.back()) : eos);
  set("padding_token_id", tokenizer.pad());
  const auto other = std::ranges::find_if(ends, [&](std::int32_t id) { return id != eos; });
  if (other != ends.end()) set("eot_token_id", *other);
  metadata.set(key("add_bos_token"), begins);
  metadata.set(key("add_eos_token"), finishes);
}

void set_chat_templates(const Tokenizer& tokenizer, GgufMetadata& metadata) {
  std::vector<std::string> others;
  for (const auto& [name, source] : tokenizer.chat_templates()) {
    const bool main = name == "default";
    metadata.set(main ? "tokenizer.chat_template" : "tokenizer.chat_template." + name, source);
    if (!main) others.push_back(name);
  }
  if (!others.empty()) metadata.set("tokenizer.chat_templates", std::move(others));
}

}  // namespace

void set_tokenizer_metadata(const Path& folder, std::int64_t rows, const std::vector<std::int32_t>& ends,
                            GgufMetadata& metadata) {
  const auto pipeline = load_tokenizer_folder(folder);
  const Tokenizer tokenizer(pipeline);
  const Path path = folder / "tokenizer.json";
  std::optional<Json> file;
  if (std::filesystem::exists(path)) file = read_json(path);
  check(file || std::filesystem::exists(folder / "tokenizer.model"), folder.string(),
        ": only tokenizer.json and tokenizer.model can be written as GGUF yet");
  TokenLists lists = spellings(*pipeline, rows, folder);
  if (file && is_byte_level(*file))
    set_byte_level(*file, folder, std::move(lists), metadata);
  else
    set_pieces(file, folder, *pipeline, tokenizer, std::move(lists), metadata);
  set_special_tokens(tokenizer, ends, metadata);
  set_chat_templates(tokenizer, metadata);
}

}  // namespace graft
