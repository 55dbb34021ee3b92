#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/row.h"
#include "generate/options.h"

namespace graft {

/// A row of `generate --prompts`.
struct PromptRow {
  RowSource source;
  Json id = nullptr;               ///< the row's own, a string or a number, repeated in its result
  std::string prompt;              ///< where the row has one; its conversation is then this one turn
  Conversation conversation = {};  ///< ends with a turn of the user or of a tool
  std::optional<std::string> adapter = {};  ///< by name
  SamplingChanges sampling = {};
};

/// Reads a file of prompts. One that ends in .txt, or whose first character is neither { nor [, holds a
/// prompt a line. Any other is JSON lines (or one array; gzip or not) of {"prompt"} or {"messages"} with,
/// where wanted, "id", "system", "tools", "chat_template_kwargs", "adapter" and the names of SamplingOptions.
/// An assistant's turn at the end is left out (it is what is asked for); this and keys that nothing reads are
/// warned about, once per file. Errors: as the readers of rows; no rows.
std::vector<PromptRow> read_prompts(const std::string& path);

}  // namespace graft
