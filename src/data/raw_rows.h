#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace graft {

/// The text of one row and where it starts in its file (both counted from 1; column in bytes).
struct RawRow {
  std::string_view text;
  std::int64_t line = 1;
  std::int64_t column = 1;
};

/// A data file in memory: mapped, or inflated where it is gzip. A byte order mark at the start is skipped.
class DataFile {
 public:
  /// Errors: unreadable; not text (UTF-16, Parquet, zip…: named as such); gzip that is cut or larger than 4
  /// GiB inflated.
  explicit DataFile(const Path& path);
  std::string_view text() const { return text_; }
  const std::string& name() const { return name_; }
  /// Extension in lower case without `.gz`: ".jsonl", ".json", ".txt".
  const std::string& extension() const { return extension_; }

 private:
  std::string name_, extension_;
  std::shared_ptr<const MappedFile> mapped_;
  std::shared_ptr<const std::string> inflated_;
  std::string_view text_;
};

/// The rows of a JSON file, uncut: one per line, or the elements of the one array that the file is.
/// Lines are physical lines; blank ones hold no row. CRLF and a missing final newline are accepted.
/// Error: an array that does not end, or text after it.
std::vector<RawRow> cut_json_rows(const DataFile& file);
/// The JSON document of a row. Errors: broken JSON, as `file:line:column`.
Json parse_row(const RawRow& row, const std::string& file);

/// The rows of a file of raw text: whole paragraphs (blank lines part them) joined, as they stand, up to
/// `max_bytes`. A longer paragraph is cut at its last line break or space before that, never inside a
/// character. Error: invalid UTF-8, with its line.
std::vector<RawRow> cut_paragraphs(const DataFile& file, std::size_t max_bytes);

}  // namespace graft
