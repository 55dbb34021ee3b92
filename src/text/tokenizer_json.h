#pragma once

#include "base/json.h"
#include "text/pipeline.h"

namespace graft {

/// An added token and the place in a file that says so.
struct PlacedToken {
  AddedToken token;
  std::string where;
};

/// Fills the pipeline from a tokenizer.json: everything but what tokenizer_config.json says. The tokens of
/// `config_tokens` are added too; where the file has one of them, the config's flags count, as in
/// transformers. Errors name file and JSON pointer; parts that this version lacks are refused by their type.
void read_tokenizer_json(const JsonView& file, const std::vector<PlacedToken>& config_tokens,
                         Tokenizer::Pipeline& pipeline);

/// The parts, each from its own member of the file.
std::vector<PreTokenizerStep> read_pre_tokenizer(const JsonView& view);
std::vector<PostProcessorStep> read_post_processor(const JsonView& view, const Vocabulary& vocabulary);
/// An added token as tokenizer.json and tokenizer_config.json write it, with its id.
AddedToken read_added_token(const JsonView& view, std::int64_t id);

}  // namespace graft
