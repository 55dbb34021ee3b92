#include <cstdint>
#include <span>

#include "base/error.h"
#include "data/example.h"
#include "data/label.h"
#include "data/raw_rows.h"
#include "data/readers.h"
#include "fuzz/byte_level.h"
#include "fuzz/require.h"
#include "fuzz/scratch_file.h"

// A file of rows read as every format, labelled and shortened: as many labels as tokens, none that is not the
// token's own id, and never longer than asked for.

namespace graft {
namespace {

constexpr std::size_t kMaxTokens = 12;

const Tokenizer& tokenizer() {
  static const Tokenizer made = tokenizer_of(byte_level_json());
  return made;
}

void check_labels(const Row& row, const LabelledTokens& tokens) {
  require(tokens.ids.size() == tokens.labels.size());
  const bool verbatim = std::holds_alternative<TokenRow>(row.value);
  for (std::size_t i = 0; i < tokens.ids.size(); ++i)
    require(verbatim || tokens.labels[i] == kIgnoreLabel || tokens.labels[i] == tokens.ids[i]);
}

void check_row(const Row& row, const Labeller& labeller) {
  try {
    LabelledTokens tokens = labeller.label(row);
    check_labels(row, tokens);
    const Cut cut = labeller.find_cut(row, tokens);
    require(cut.front <= cut.header && cut.header <= cut.answer && cut.answer <= cut.closing);
    require(cut.closing <= cut.end && cut.end <= tokens.ids.size());
    if (!shorten(tokens, cut, kMaxTokens)) return;
    check_labels(row, tokens);
    require(tokens.ids.size() <= kMaxTokens);
  } catch (const Error&) {
  }
}

void check_rows(const DataSource& source, const ReadOptions& options, bool chat) {
  static const std::optional<ChatTemplate> chatml = choose_chat_template("chatml", tokenizer());
  static const std::optional<ChatTemplate> none;
  ReadRows read;
  try {
    read = read_rows(source, options);
  } catch (const Error&) {
    return;
  }
  const Labeller labeller{.tokenizer = tokenizer(), .chat = chat ? chatml : none};
  for (const Row& row : read.rows) check_row(row, labeller);
}

void check_paragraphs(const Path& path) {
  try {
    const DataFile file(path);
    for (const RawRow& row : cut_paragraphs(file, 64)) require(!row.text.empty() && row.line > 0);
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace graft

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace graft;
  const ScratchFile file(data, size);
  DataSource source{.path = file.path().string()};
  check_rows(source, {.scope = FormatScope::kRow}, true);
  check_rows(source, {.prompt_form = PromptForm::kPlain, .scope = FormatScope::kRow}, false);
  for (const RowFormat& format : row_formats()) {
    source.format = format.name;
    source.max_samples = 3;
    check_rows(source, {}, true);
  }
  check_paragraphs(file.path());
  return 0;
}
