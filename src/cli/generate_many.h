#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "cli/talker.h"

namespace graft {

/// What `generate --prompts` is told beside what all talking verbs are.
struct ManyArguments {
  std::string prompts;            ///< file of rows
  bool raw = false;               ///< no chat template
  std::int64_t batch_tokens = 0;  ///< tokens kept at a time; 0: as many as suit the machine's memory
};

/// Answers every row of the file, several at a time, and prints one JSON line for each in the order of the
/// rows, as soon as those before it are done. All rows are checked before the weights are read. Stopped by a
/// signal, prints what is finished (kStopped). Errors: as read_prompts, Wording and generate_batch.
ExitCode generate_many(const TalkArguments& arguments, const ManyArguments& many);

}  // namespace graft
