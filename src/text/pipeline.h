#pragma once

#include <optional>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace graft {

/// The parts of a tokenizer, in the order text passes through them. Built by the loaders, then const.
struct Tokenizer::Pipeline {
  Vocabulary vocabulary;
  AddedTokenFinder raw_tokens;  ///< looked for in the text as it is
  Normalizer normalizer = Normalizer::kNone;
  AddedTokenFinder normalized_tokens;  ///< looked for in normalized text
  PreTokenizer pre_tokenizer{{}};
  std::unique_ptr<Bpe> bpe;
  std::vector<PostProcessorStep> post_processor;

  std::optional<std::int32_t> bos, eos, pad;
  std::optional<std::string> chat_template;

  /// Puts an added token into vocabulary and finder. Its id must be free, or the id of its content in the
  /// vocabulary. `normalizer` must be set. Errors, started by `where`: id or content taken, content empty or
  /// absurdly long.
  void add_token(const AddedToken& token, std::string_view where);
};

/// Makes the tokenizer add `bos` before and `eos` after the text where its post-processor does not already.
void add_surrounding(Tokenizer::Pipeline& pipeline, std::optional<std::int32_t> bos,
                     std::optional<std::int32_t> eos);

/// Loaders; see load_tokenizer.
std::shared_ptr<const Tokenizer::Pipeline> load_tokenizer_folder(const Path& folder);
std::shared_ptr<const Tokenizer::Pipeline> load_tokenizer_gguf(const Path& file);

}  // namespace graft
