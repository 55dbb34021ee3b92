#pragma once

#include "base/json.h"
#include "text/bpe.h"
#include "text/pipeline.h"

namespace graft {

/// Fills the pipeline from a tokenizer.json: everything but what tokenizer_config.json says. The tokens of
/// `config_tokens` are added too; where the file has one of them, the config's flags count, as in
/// transformers. Errors name file and JSON pointer; parts that this version lacks are refused by their type.
void read_tokenizer_json(const JsonView& file, const std::vector<PlacedToken>& config_tokens,
                         Tokenizer::Pipeline& pipeline);

/// Fills the pipeline from a tekken.json of mistral-common.
void read_tekken_json(const JsonView& file, Tokenizer::Pipeline& pipeline);

/// The parts, each from its own member of the file; nothing or null is no step.
Normalizer read_normalizer(const std::optional<JsonView>& view);
std::vector<PreTokenizerStep> read_pre_tokenizer(const std::optional<JsonView>& view);
/// Fills `vocabulary` with the model's tokens. `symbols` says what the pre-tokenizer hands over.
std::unique_ptr<const WordModel> read_model(const JsonView& view, Symbols symbols, Vocabulary& vocabulary);
std::vector<PostProcessorStep> read_post_processor(const JsonView& view, const Vocabulary& vocabulary);
TokenDecoder read_decoder(const std::optional<JsonView>& view);
/// An added token as tokenizer.json and tokenizer_config.json write it, with its id.
AddedToken read_added_token(const JsonView& view, std::int64_t id);

/// {"Regex": …} or {"String": …}.
Regex read_pattern(const JsonView& view);
/// A string of one character.
std::string read_character(const JsonView& view);
/// "prepend_scheme" of a Metaspace, or what older files have in its place.
PrependScheme read_prepend_scheme(const JsonView& view);
/// The member `key`, a truth value, or `otherwise` where it is absent or null.
bool flag_of(const JsonView& view, std::string_view key, bool otherwise);
/// The bytes that base64 text stands for; nothing where it is malformed. Source: RFC 4648, section 4.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace graft
