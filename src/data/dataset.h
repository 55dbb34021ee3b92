#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/example.h"
#include "data/label.h"
#include "data/options.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace graft {

/// What became of the rows of one data set; printed before training, kept in run.json. Nothing is dropped in
/// silence. rows == examples + dropped_long + dropped_without_target + held_out.
struct DataReport {
  struct File {
    std::string path, format, sha256;
    std::int64_t rows = 0;
  };
  std::vector<File> files;
  std::int64_t rows = 0, examples = 0, tokens = 0, target_tokens = 0, longest = 0;
  std::int64_t dropped_long = 0, dropped_without_target = 0, truncated = 0;
  std::int64_t held_out = 0;              ///< rows that eval_fraction moved to the held-out set
  std::vector<std::string> dropped_at;    ///< first few `file:line: reason`
  std::vector<std::string> truncated_at;  ///< first few `file:line: 3000 tokens cut to 2048`
  std::int64_t chinese_characters = 0;    ///< in the texts of the examples' rows
  std::int64_t control_tokens = 0;        ///< control tokens found inside the texts of rows
  std::vector<std::string> control_at;    ///< first few `file:line: token`
};

struct Dataset {
  std::vector<Example> train, eval;
  DataReport train_report, eval_report;
};

/// Reads, encodes and masks all rows that the options name. What eval_fraction holds out is a pure function
/// of the seed and each row's text, so equal rows stay on one side; at least one row where the fraction is
/// not 0. Errors: as the readers (`file:line`), no row left (says which filter took them), a row over length
/// with over_length: error. `chat` empty: the base has no template.
Dataset load_dataset(const DataOptions& options, const Tokenizer& tokenizer,
                     const std::optional<ChatTemplate>& chat, std::uint64_t seed);

/// One row as it is trained. Nothing where it has no token.
std::optional<Example> make_example(const LabelledTokens& tokens, const RowSource& source, std::uint64_t id);

/// Error naming row and id where a token or a target is not in a vocabulary of `vocab_size` ids: token rows
/// are verbatim, and may belong to another tokenizer.
void check_token_ids(const std::vector<Example>& examples, std::int64_t vocab_size);

/// The examples of every step of an epoch: order[epoch] is a pure function of (seed, epoch), the last step
/// may be short. Result: per step, indices into the data set's train examples.
std::vector<std::vector<std::size_t>> epoch_steps(std::size_t examples, std::int64_t batch_size, bool shuffle,
                                                  std::uint64_t seed, std::int64_t epoch);

/// The members of each pack of a step, as indices into `examples`: longest examples first, each into the
/// fullest pack that still takes it. A pack has at most `micro_batch_tokens` tokens, or one longer example
/// alone.
std::vector<std::vector<std::size_t>> choose_packs(const std::vector<Example>& examples,
                                                   std::vector<std::size_t> chosen,
                                                   std::int64_t micro_batch_tokens);

/// Whole examples packed into micro-steps of at most `micro_batch_tokens` tokens (a longer example is a pack
/// alone). Every example of `chosen` is in exactly one pack.
Step make_step(const std::vector<Example>& examples, const std::vector<std::size_t>& chosen,
               std::int64_t micro_batch_tokens);

}  // namespace graft
