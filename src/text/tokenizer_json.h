#pragma once

#include "base/json.h"
#include "text/pipeline.h"

namespace graft {

/// Fills the pipeline from a tokenizer.json: everything but what tokenizer_config.json says.
/// Errors name file and JSON pointer; parts that this version lacks are refused by their type.
void read_tokenizer_json(const JsonView& file, Tokenizer::Pipeline& pipeline);

/// The parts, each from its own member of the file.
std::vector<PreTokenizerStep> read_pre_tokenizer(const JsonView& view);
std::vector<PostProcessorStep> read_post_processor(const JsonView& view, const Vocabulary& vocabulary);
/// An added token as tokenizer.json and tokenizer_config.json write it; the id is left at 0.
AddedToken read_added_token(const JsonView& view);

}  // namespace graft
