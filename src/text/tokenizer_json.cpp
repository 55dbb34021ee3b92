#include "text/tokenizer_json.h"

#include <unordered_map>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

void read_added_tokens(const JsonView& view, const std::vector<PlacedToken>& config_tokens,
                       Tokenizer::Pipeline& pipeline) {
  std::unordered_map<std::string_view, const PlacedToken*> of_config;
  for (const PlacedToken& placed : config_tokens) of_config[placed.token.content] = &placed;
  std::vector<PlacedToken> tokens;
  view.each_element([&](const JsonView& entry) {
    AddedToken token = read_added_token(entry, entry.at("id").as_int(0, kMaxTokenId));
    if (const auto found = of_config.find(token.content); found != of_config.end()) {
      const auto& [other, where] = *found->second;
      if (other.id != token.id)
        fail(where, ": added token `", printable(token.content), "` has id ", other.id,
             ", but tokenizer.json has it as id ", token.id);
      token = other;
    }
    tokens.push_back({std::move(token), entry.where()});
  });
  pipeline.add_tokens(tokens);
}

// Those that the file's own list lacks.
void add_config_tokens(const std::vector<PlacedToken>& config_tokens, Tokenizer::Pipeline& pipeline) {
  std::vector<PlacedToken> lacking;
  for (const PlacedToken& placed : config_tokens) {
    const auto id = pipeline.vocabulary.find(placed.token.content);
    if (!id || pipeline.vocabulary.kind(*id) == TokenKind::kWord) lacking.push_back(placed);
  }
  pipeline.add_tokens(lacking);
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
          .special = flag_of(view, "special", false),
          .normalized = flag_of(view, "normalized", !flag_of(view, "special", false)),
          .single_word = flag_of(view, "single_word", false),
          .lstrip = flag_of(view, "lstrip", false),
          .rstrip = flag_of(view, "rstrip", false)};
}

bool flag_of(const JsonView& view, std::string_view key, bool otherwise) {
  const auto member = view.find(key);
  return member ? member->as_bool() : otherwise;
}

void read_tokenizer_json(const JsonView& file, const std::vector<PlacedToken>& config_tokens,
                         Tokenizer::Pipeline& pipeline) {
  std::vector<PreTokenizerStep> steps = read_pre_tokenizer(file.find("pre_tokenizer"));
  const bool bytes = !steps.empty() && std::holds_alternative<ByteLevelStep>(steps.back());
  pipeline.pre_tokenizer = PreTokenizer(std::move(steps));
  const JsonView model = file.at("model");
  // Before added tokens join the vocabulary: merges are among the model's own tokens.
  pipeline.model = read_model(model, bytes ? Symbols::kBytes : Symbols::kCharacters, pipeline.vocabulary);
  pipeline.normalizer = read_normalizer(file.find("normalizer"));
  if (const auto added = file.find("added_tokens")) read_added_tokens(*added, config_tokens, pipeline);
  add_config_tokens(config_tokens, pipeline);
  check_no_holes(pipeline.vocabulary, model.where() + "/vocab");
  if (const auto post = file.find("post_processor"))
    pipeline.post_processor = read_post_processor(*post, pipeline.vocabulary);
  pipeline.decoder = read_decoder(file.find("decoder"));
}

}  // namespace graft
