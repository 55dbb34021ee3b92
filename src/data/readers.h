#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/options.h"
#include "data/row.h"

namespace graft {

/// What rows of prompt and completion become: turns where the base has a chat template, else joined text.
enum class PromptForm { kChat, kPlain };

/// Whether all rows of a file have the format of its first row, or each its own.
enum class FormatScope { kFile, kRow };

struct ReadOptions {
  PromptForm prompt_form = PromptForm::kChat;
  FormatScope scope = FormatScope::kFile;
  std::size_t paragraph_bytes = 4096;  ///< longest row made of a file of raw text
};

/// A format of rows. Adding one is a reader and a row in the table of readers.cpp.
struct RowFormat {
  std::string name;               ///< word of `data.train[].format`
  std::vector<std::string> keys;  ///< a row that has all of them is taken for this format
  RowValue (*read)(const JsonView& row, PromptForm form);
};

/// The formats in the order in which they are tried.
std::span<const RowFormat> row_formats();

/// The rows of one data file in file order, and what was found out about it.
struct ReadRows {
  std::vector<Row> rows;
  std::string format;  ///< the format named, or detected from the first row's keys
  std::string sha256;
};

/// Reads the first `max_samples` rows of a file (0: all). `.txt` and `.md` files of format text or auto
/// become rows of whole paragraphs; every other file is JSON lines or one JSON array, gzip or not. Errors:
/// the file; `file:line:column` of broken JSON; `file:line: /pointer` of a missing field or a wrong type; a
/// row of unknown format (lists the known ones). A file without rows is no error here.
ReadRows read_rows(const DataSource& source, const ReadOptions& options);

/// The readers, one per format; each takes one parsed row.
RowValue read_messages(const JsonView& row, PromptForm form);
RowValue read_sharegpt(const JsonView& row, PromptForm form);
RowValue read_alpaca(const JsonView& row, PromptForm form);
RowValue read_prompt_completion(const JsonView& row, PromptForm form);
RowValue read_text(const JsonView& row, PromptForm form);
RowValue read_tokens(const JsonView& row, PromptForm form);

/// The messages of a list, as `messages` rows hold them ({role, content} or {from, value}, train or weight).
std::vector<Message> read_message_list(const JsonView& list);
/// Reads what a row tells the chat template beside its messages, as TRL names it: `tools` (a list of JSON
/// functions, or a string that holds one) and `chat_template_kwargs` (an object of variables).
void read_template_inputs(const JsonView& row, Conversation& conversation);
/// The train flag that a message states (`train`: true or false, `weight`: 0 or 1), or nothing.
std::optional<bool> stated_train_flag(const JsonView& message);

}  // namespace graft
