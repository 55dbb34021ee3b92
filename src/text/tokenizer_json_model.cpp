#include "base/error.h"
#include "base/text.h"
#include "text/bpe.h"
#include "text/tokenizer_json.h"
#include "text/unigram.h"
#include "text/word_level.h"

namespace graft {
namespace {

// Refuses a setting that this version does not carry out.
void require_empty(const JsonView& model, std::string_view key) {
  const auto member = model.find(key);
  check(!member || member->as_string().empty(), model.where(), "/", key, ": not supported yet (got `",
        member ? printable(member->as_string()) : "", "`, want null)");
}

void read_vocabulary(const JsonView& view, Vocabulary& vocabulary) {
  check(view.is_object(), view.where(), ": want an object of tokens and ids");
  const std::string where = view.where();
  vocabulary.reserve(view.size());
  for (const auto& [spelling, id] : view.json().get_ref<const Json::object_t&>()) {
    if (!id.is_number_integer()) view.at(spelling).as_int();
    vocabulary.add(
        spelling,
        id.is_number_unsigned() && id.get<std::uint64_t>() > INT64_MAX ? -1 : id.get<std::int64_t>(),
        TokenKind::kWord, where);
  }
}

// "a b", or ["a", "b"] as newer versions write it.
Bpe::Merge read_merge(const JsonView& merges, std::size_t index, const Json& merge) {
  if (const auto* text = merge.get_ptr<const Json::string_t*>()) {
    const std::size_t space = text->find(' ');
    const bool two =
        space != std::string::npos && space == text->rfind(' ') && space > 0 && space + 1 < text->size();
    if (!two)
      fail(merges.where(), "/", index, ": got `", printable(*text),
           "`, want two tokens with one space between");
    return {std::string_view(*text).substr(0, space), std::string_view(*text).substr(space + 1)};
  }
  const bool two = merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
  if (!two) fail(merges.where(), "/", index, ": want two tokens");
  return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
}

std::optional<std::int32_t> read_unknown(const JsonView& model, const Vocabulary& vocabulary) {
  const auto token = model.find("unk_token");
  if (!token) return std::nullopt;
  const auto id = vocabulary.find(token->as_string());
  check(id.has_value(), token->where(), ": `", printable(token->as_string()), "` is not in the vocabulary");
  return id;
}

std::unique_ptr<const WordModel> read_bpe(const JsonView& model, Symbols symbols, Vocabulary& vocabulary) {
  require_empty(model, "continuing_subword_prefix");
  require_empty(model, "end_of_word_suffix");
  const auto dropout = model.find("dropout");
  check(!dropout || dropout->as_double() == 0, model.where(),
        "/dropout: random tokenization is not supported");
  read_vocabulary(model.at("vocab"), vocabulary);
  const JsonView view = model.at("merges");
  check(view.is_array(), view.where(), ": want a list");
  std::vector<Bpe::Merge> merges;
  merges.reserve(view.size());
  for (const Json& merge : view.json()) merges.push_back(read_merge(view, merges.size(), merge));
  const BpeOptions options{.symbols = symbols,
                           .ignore_merges = flag_of(model, "ignore_merges", false),
                           .byte_fallback = flag_of(model, "byte_fallback", false),
                           .unknown = read_unknown(model, vocabulary),
                           .fuse_unknown = flag_of(model, "fuse_unk", false)};
  check(!options.byte_fallback || symbols == Symbols::kCharacters, model.where(),
        "/byte_fallback: not supported beside the pre-tokenizer ByteLevel");
  return std::make_unique<Bpe>(vocabulary, merges, options, view.where());
}

// Pairs of token and score; an id is a place in the list.
std::unique_ptr<const WordModel> read_unigram(const JsonView& model, Vocabulary& vocabulary) {
  const JsonView view = model.at("vocab");
  check(view.is_array(), view.where(), ": want a list of tokens and scores");
  std::vector<Unigram::Token> tokens;
  const std::string where = view.where();
  view.each_element([&](const JsonView& entry) {
    check(entry.is_array() && entry.size() == 2, entry, ": want a token and its score");
    const std::string& spelling = entry.at(0).as_string();
    check(!spelling.empty(), entry, ": a token without text");
    vocabulary.add(spelling, static_cast<std::int64_t>(tokens.size()), TokenKind::kWord, where);
    tokens.push_back({spelling, entry.at(1).as_double()});
  });
  UnigramOptions options;
  options.byte_fallback = flag_of(model, "byte_fallback", false);
  if (const auto unknown = model.find("unk_id")) {
    const std::int64_t id = unknown->as_int();
    check(vocabulary.has(id), unknown->where(), ": no token has id ", id);
    options.unknown = static_cast<std::int32_t>(id);
  }
  return std::make_unique<Unigram>(tokens, options);
}

std::unique_ptr<const WordModel> read_word_level(const JsonView& model, Vocabulary& vocabulary) {
  read_vocabulary(model.at("vocab"), vocabulary);
  return std::make_unique<WordLevel>(vocabulary, read_unknown(model, vocabulary));
}

}  // namespace

std::unique_ptr<const WordModel> read_model(const JsonView& view, Symbols symbols, Vocabulary& vocabulary) {
  const auto member = view.find("type");  // files of early versions have none
  const std::string type = member ? member->as_string() : "BPE";
  if (type == "BPE") return read_bpe(view, symbols, vocabulary);
  if (type == "Unigram" || type == "WordLevel") {
    check(symbols == Symbols::kCharacters, view.where(), ": the model ", type,
          " is not supported beside the pre-tokenizer ByteLevel");
    return type == "Unigram" ? read_unigram(view, vocabulary) : read_word_level(view, vocabulary);
  }
  fail(view.where(), ": the model ", printable(type), " is not supported",
       Hint{"supported: BPE, Unigram, WordLevel"});
}

}  // namespace graft
