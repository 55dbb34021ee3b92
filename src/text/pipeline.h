#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/sentencepiece_model.h"
#include "text/token_decoder.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"
#include "text/word_model.h"

namespace graft {

/// An added token and the place in a file that says so.
struct PlacedToken {
  AddedToken token;
  std::string where;
};

/// The parts of a tokenizer, in the order text passes through them. Built by the loaders, then const.
struct Tokenizer::Pipeline {
  Vocabulary vocabulary;
  AddedTokenFinder raw_tokens;  ///< looked for in the text as it is
  Normalizer normalizer;
  AddedTokenFinder normalized_tokens;  ///< looked for in normalized text
  PreTokenizer pre_tokenizer{{}};
  std::unique_ptr<const WordModel> model;
  /// Takes text without added tokens as it is, in place of normalizer, pre-tokenizer and model.
  std::unique_ptr<const SentencepieceModel> sentencepiece;
  PrependScheme prefix =
      PrependScheme::kNever;  ///< which texts between added tokens `sentencepiece` prefixes
  std::vector<PostProcessorStep> post_processor;
  TokenDecoder decoder;

  std::optional<std::int32_t> bos, eos, pad;
  /// The model's own templates: "default" and others by name ("tool_use", "rag").
  std::vector<NamedChatTemplate> chat_templates;
  /// What chat templates know as bos_token, unk_token …: the spellings by these names.
  std::vector<std::pair<std::string, std::string>> special_tokens;

  /// Puts added tokens into vocabulary and finders. Their ids must be free, or the ids of their contents in
  /// the vocabulary. `normalizer` and `sentencepiece` must be set. Errors, started by the token's place: id
  /// or content taken, content empty or absurdly long.
  void add_tokens(std::span<const PlacedToken> tokens);

  /// How the decoder has to take a token.
  TokenText text_kind(std::int32_t id) const {
    return vocabulary.is_added(id) ? TokenText::kVerbatim : TokenText::kSpelled;
  }
};

/// Makes the tokenizer add `bos` before and `eos` after the text where its post-processor does not already.
void add_surrounding(Tokenizer::Pipeline& pipeline, std::optional<std::int32_t> bos,
                     std::optional<std::int32_t> eos);

/// Makes a tokenizer of a sentencepiece model: its vocabulary and its decoder. `prefix` says where text gets
/// a space before it. Errors start with `where`.
void use_sentencepiece(const SentencepieceProto& proto, PrependScheme prefix, std::string_view where,
                       Tokenizer::Pipeline& pipeline);
/// Makes special tokens of the unknown piece and the control pieces that are no added tokens yet.
void add_control_pieces(const SentencepieceProto& proto, std::string_view where,
                        Tokenizer::Pipeline& pipeline);

/// Loaders; see load_tokenizer.
std::shared_ptr<const Tokenizer::Pipeline> load_tokenizer_folder(const Path& folder);
std::shared_ptr<const Tokenizer::Pipeline> load_tokenizer_gguf(const Path& file);

}  // namespace graft
