#include <array>

#include "base/error.h"
#include "base/text.h"
#include "text/bpe.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_json.h"

// Mistral's tekken.json: tiktoken ranks with a pattern. Source: mistral-common, tokens/tokenizers/tekken.py.

namespace graft {
namespace {

// What the control tokens are where the file does not list them (its versions 3 and 7).
constexpr std::array<std::string_view, 20> kDefaultControl = {"<unk>",
                                                              "<s>",
                                                              "</s>",
                                                              "[INST]",
                                                              "[/INST]",
                                                              "[AVAILABLE_TOOLS]",
                                                              "[/AVAILABLE_TOOLS]",
                                                              "[TOOL_RESULTS]",
                                                              "[/TOOL_RESULTS]",
                                                              "[TOOL_CALLS]",
                                                              "[IMG]",
                                                              "<pad>",
                                                              "[IMG_BREAK]",
                                                              "[IMG_END]",
                                                              "[PREFIX]",
                                                              "[MIDDLE]",
                                                              "[SUFFIX]",
                                                              "[SYSTEM_PROMPT]",
                                                              "[/SYSTEM_PROMPT]",
                                                              "[TOOL_CONTENT]"};

PlacedToken control_token(std::string_view content, std::int64_t id, std::string where) {
  return {{.content = std::string(content), .id = static_cast<std::int32_t>(id), .special = true},
          std::move(where)};
}

void read_control_tokens(const JsonView& file, std::int64_t count, Tokenizer::Pipeline& pipeline) {
  std::vector<PlacedToken> named, others;
  if (const auto listed = file.find("special_tokens")) {
    listed->each_element([&](const JsonView& entry) {
      const std::int64_t id = entry.at("rank").as_int(0, count - 1);
      named.push_back(control_token(entry.at("token_str").as_string(), id, entry.where()));
    });
  } else {
    for (std::size_t id = 0; id < kDefaultControl.size() && static_cast<std::int64_t>(id) < count; ++id)
      named.push_back(control_token(kDefaultControl[id], static_cast<std::int64_t>(id), file.where()));
  }
  pipeline.add_tokens(named);
  for (std::int64_t id = 0; id < count; ++id)
    if (!pipeline.vocabulary.has(id))
      others.push_back(control_token("<SPECIAL_" + std::to_string(id) + ">", id, file.where()));
  pipeline.add_tokens(others);
}

// The first `count` ranks, whose ids follow the control tokens'.
std::vector<RankedToken> read_ranks(const JsonView& view, std::int64_t count, std::int64_t first_id) {
  check(view.is_array() && static_cast<std::int64_t>(view.size()) >= count, view.where(), ": got ",
        view.size(), " tokens, want at least ", count);
  std::vector<RankedToken> tokens;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const JsonView entry = view.at(i);
    const std::int64_t rank = entry.at("rank").as_int();
    check(rank == static_cast<std::int64_t>(i), entry, "/rank: got ", rank, ", want ", i);
    auto bytes = decode_base64(entry.at("token_bytes").as_string());
    check(bytes && !bytes->empty(), entry, "/token_bytes: want base64 of at least one byte");
    tokens.push_back(
        {std::move(*bytes), static_cast<std::int32_t>(rank), static_cast<std::int32_t>(first_id + rank)});
  }
  return tokens;
}

}  // namespace

void read_tekken_json(const JsonView& file, Tokenizer::Pipeline& pipeline) {
  const JsonView config = file.at("config");
  const std::int64_t size = config.at("default_vocab_size").as_int(256, kMaxTokenId);
  const std::int64_t control = config.at("default_num_special_tokens").as_int(0, size - 256);
  const std::vector<RankedToken> tokens = read_ranks(file.at("vocab"), size - control, control);
  const std::string where = file.at("vocab").where();
  pipeline.model = std::make_unique<Bpe>(tokens, where);
  pipeline.vocabulary.reserve(static_cast<std::size_t>(size));
  for (const RankedToken& token : tokens)
    pipeline.vocabulary.add(spelling_of_bytes(token.bytes), token.id, TokenKind::kWord, where);
  read_control_tokens(file, control, pipeline);
  const JsonView pattern = config.at("pattern");
  std::vector<PreTokenizerStep> steps;
  steps.emplace_back(SplitStep{Regex(pattern.as_string(), pattern.where()), SplitBehavior::kIsolated});
  pipeline.pre_tokenizer = PreTokenizer(std::move(steps));
  pipeline.decoder = TokenDecoder({DecodeByteLevel{}});
}

}  // namespace graft
