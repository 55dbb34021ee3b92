#include "text/tokenizer_json.h"

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

bool read_flag(const JsonView& view, std::string_view key, bool otherwise) {
  const auto member = view.find(key);
  return member ? member->as_bool() : otherwise;
}

// Refuses a setting that this version does not carry out.
void require_empty(const JsonView& model, std::string_view key) {
  const auto member = model.find(key);
  check(!member || member->as_string().empty(), model.where(), "/", key, ": not supported yet (got `",
        member ? printable(member->as_string()) : "", "`, want null)");
}

Normalizer read_normalizer(const JsonView& view) {
  const std::string& type = view.at("type").as_string();
  if (type == "NFC") return Normalizer::kNfc;
  check(type == "Sequence", view.where(), ": the normalizer ", printable(type), " is not supported yet",
        Hint{"supported: NFC, Sequence"});
  Normalizer normalizer = Normalizer::kNone;
  view.at("normalizers").each_element([&](const JsonView& part) {
    if (read_normalizer(part) == Normalizer::kNfc) normalizer = Normalizer::kNfc;
  });
  return normalizer;
}

void check_decoder(const JsonView& view) {
  const std::string& type = view.at("type").as_string();
  if (type == "ByteLevel") return;
  check(type == "Sequence", view.where(), ": the decoder ", printable(type), " is not supported yet",
        Hint{"supported: ByteLevel"});
  const JsonView parts = view.at("decoders");
  check(parts.size() == 1, parts.where(), ": got ", parts.size(), " decoders, want ByteLevel alone");
  check_decoder(parts.at(0));
}

void check_model_kind(const JsonView& model) {
  const auto type = model.find("type");  // files of early versions have none
  check(!type || type->as_string() == "BPE", model.where(), ": the model ",
        printable(type ? type->as_string() : ""), " is not supported yet", Hint{"supported: byte-level BPE"});
  require_empty(model, "continuing_subword_prefix");
  require_empty(model, "end_of_word_suffix");
  check(!read_flag(model, "byte_fallback", false), model.where(), "/byte_fallback: not supported yet",
        Hint{"supported: byte-level BPE"});
  const auto dropout = model.find("dropout");
  check(!dropout || dropout->as_double() == 0, model.where(),
        "/dropout: random tokenization is not supported");
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
      fail(merges.where(), "/", index, ": got `", printable(*text), "`, want two tokens with one space between");
    return {std::string_view(*text).substr(0, space), std::string_view(*text).substr(space + 1)};
  }
  const bool two = merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
  if (!two) fail(merges.where(), "/", index, ": want two tokens");
  return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
}

std::unique_ptr<Bpe> read_bpe(const JsonView& model, const Vocabulary& vocabulary) {
  const JsonView view = model.at("merges");
  check(view.is_array(), view.where(), ": want a list");
  std::vector<Bpe::Merge> merges;
  merges.reserve(view.size());
  for (const Json& merge : view.json()) merges.push_back(read_merge(view, merges.size(), merge));
  BpeOptions options{.ignore_merges = read_flag(model, "ignore_merges", false),
                     .unknown = std::nullopt,
                     .fuse_unknown = read_flag(model, "fuse_unk", false)};
  if (const auto unknown = model.find("unk_token")) {
    options.unknown = vocabulary.find(unknown->as_string());
    check(options.unknown.has_value(), unknown->where(), ": `", printable(unknown->as_string()),
          "` is not in the vocabulary");
  }
  return std::make_unique<Bpe>(vocabulary, merges, options, view.where());
}

void read_added_tokens(const JsonView& view, const std::vector<PlacedToken>& config_tokens,
                       Tokenizer::Pipeline& pipeline) {
  view.each_element([&](const JsonView& entry) {
    AddedToken token = read_added_token(entry, entry.at("id").as_int(0, kMaxTokenId));
    for (const auto& [other, where] : config_tokens) {
      if (other.content != token.content) continue;
      check(other.id == token.id, where, ": added token `", printable(token.content), "` has id ", other.id,
            ", but tokenizer.json has it as id ", token.id);
      token = other;
    }
    pipeline.add_token(token, entry.where());
  });
}

// Those that the file's own list lacks.
void add_config_tokens(const std::vector<PlacedToken>& config_tokens, Tokenizer::Pipeline& pipeline) {
  for (const auto& [token, where] : config_tokens) {
    const auto id = pipeline.vocabulary.find(token.content);
    if (!id || pipeline.vocabulary.kind(*id) == TokenKind::kWord) pipeline.add_token(token, where);
  }
}

void check_no_holes(const Vocabulary& vocabulary, const std::string& where) {
  for (std::int32_t id = 0; id < vocabulary.size(); ++id)
    check(vocabulary.has(id), where, ": no token has id ", id, " (the highest id is ", vocabulary.size() - 1,
          ")");
}

}  // namespace

AddedToken read_added_token(const JsonView& view, std::int64_t id) {
  return {.content = view.at("content").as_string(),
          .id = static_cast<std::int32_t>(id),
          .special = read_flag(view, "special", false),
          .normalized = read_flag(view, "normalized", !read_flag(view, "special", false)),
          .single_word = read_flag(view, "single_word", false),
          .lstrip = read_flag(view, "lstrip", false),
          .rstrip = read_flag(view, "rstrip", false)};
}

void read_tokenizer_json(const JsonView& file, const std::vector<PlacedToken>& config_tokens,
                         Tokenizer::Pipeline& pipeline) {
  const JsonView model = file.at("model");
  check_model_kind(model);
  read_vocabulary(model.at("vocab"), pipeline.vocabulary);
  // Before added tokens join the vocabulary: merges are among the model's own tokens.
  pipeline.bpe = read_bpe(model, pipeline.vocabulary);
  if (const auto normalizer = file.find("normalizer")) pipeline.normalizer = read_normalizer(*normalizer);
  if (const auto added = file.find("added_tokens")) read_added_tokens(*added, config_tokens, pipeline);
  add_config_tokens(config_tokens, pipeline);
  check_no_holes(pipeline.vocabulary, model.where() + "/vocab");
  pipeline.pre_tokenizer = PreTokenizer(read_pre_tokenizer(file.at("pre_tokenizer")));
  if (const auto post = file.find("post_processor"))
    pipeline.post_processor = read_post_processor(*post, pipeline.vocabulary);
  check_decoder(file.at("decoder"));
}

}  // namespace graft
