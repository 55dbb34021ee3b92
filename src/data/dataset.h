#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "data/example.h"
#include "data/options.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace graft {

/// What became of the rows of one data set; printed before training, kept in run.json. Nothing is dropped in silence.
struct DataReport {
  struct File {
    std::string path, format, sha256;
    std::int64_t rows = 0;
  };
  std::vector<File> files;
  std::int64_t rows = 0, examples = 0, tokens = 0, target_tokens = 0, longest = 0;
  std::int64_t dropped_long = 0, dropped_without_target = 0, truncated = 0;
  std::vector<std::string> dropped_at;     ///< first few `file:line: reason`
  std::int64_t control_tokens = 0;         ///< control tokens found inside the texts of rows
  std::vector<std::string> control_at;     ///< first few `file:line: token`
};

struct Dataset {
  std::vector<Example> train, eval;
  DataReport train_report, eval_report;
};

/// Reads, encodes and masks all rows that the options name. pretrain: rows of text are the only ones allowed to be
/// learned whole. Errors: as the readers (`file:line`), no row left, a row over length with over_length: error.
/// `chat` empty: the base has no template.
Dataset load_dataset(const DataOptions& options, const Tokenizer& tokenizer, const std::optional<ChatTemplate>& chat,
                     std::uint64_t seed);

/// The examples of every step of an epoch: order[epoch] is a pure function of (seed, epoch), the last step may be short.
/// Result: per step, indices into the data set's train examples.
std::vector<std::vector<std::size_t>> epoch_steps(std::size_t examples, std::int64_t batch_size, bool shuffle,
                                                  std::uint64_t seed, std::int64_t epoch);

/// Whole examples packed into micro-steps of at most `micro_batch_tokens` tokens (a longer example is a pack alone).
/// Every example of `chosen` is in exactly one pack.
Step make_step(const std::vector<Example>& examples, const std::vector<std::size_t>& chosen,
               std::int64_t micro_batch_tokens);

}  // namespace graft
