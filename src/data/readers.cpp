#include "data/readers.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/error.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/text.h"
#include "data/parallel.h"
#include "data/raw_rows.h"

namespace graft {
namespace {

const std::array<RowFormat, 6> kFormats = {{
    {"messages", {"messages"}, read_messages},
    {"sharegpt", {"conversations"}, read_sharegpt},
    {"tokens", {"input_ids"}, read_tokens},
    {"alpaca", {"instruction", "output"}, read_alpaca},
    {"prompt_completion", {"prompt", "completion"}, read_prompt_completion},
    {"text", {"text"}, read_text},
}};

std::string known_formats() {
  std::string names;
  for (const RowFormat& format : kFormats) {
    names += (names.empty() ? "" : "; ") + format.name + ": " + join(format.keys, ", ");
  }
  return names;
}

bool has_keys(const JsonView& row, const RowFormat& format) {
  return std::ranges::all_of(format.keys, [&](const std::string& key) { return row.json().contains(key); });
}

const RowFormat& named_format(const std::string& name, const std::string& file) {
  std::vector<std::string> names = {"auto"};
  for (const RowFormat& format : kFormats) {
    if (format.name == name) return format;
    names.push_back(format.name);
  }
  const auto near = nearest(name, names);
  fail(ExitCode::kUsage, file, ": unknown format \"", printable(name, 40), "\"",
       Hint{near ? "did you mean \"" + *near + "\"?" : "formats: " + join(names, ", ")});
}

const RowFormat& detect_format(const JsonView& row) {
  for (const RowFormat& format : kFormats) {
    if (has_keys(row, format)) return format;
  }
  const bool preference = row.json().contains("chosen") && row.json().contains("rejected");
  check(!preference, row.where(),
        ": rows of preference (chosen, rejected) cannot be learned by this objective");
  std::vector<std::string> keys;
  for (const auto& [key, value] : row.json().items()) keys.push_back(printable(key, 40));
  fail(row.where(), ": unknown format of row (got the keys ", keys.empty() ? "none" : join(keys, ", "), ")",
       Hint{"known formats and their keys: " + known_formats()});
}

/// `file:line:column` of an error inside an element of an array: parse_json counts from the element's own
/// start.
std::string replace_place(const std::string& message, const std::string& file, const RawRow& raw) {
  const std::string_view rest = std::string_view(message).substr(std::min(file.size() + 1, message.size()));
  std::int64_t line = 0, column = 0;
  const auto [colon, error] = std::from_chars(rest.data(), rest.data() + rest.size(), line);
  if (error != std::errc() || !message.starts_with(file + ":")) return message;
  const auto [end, error2] = std::from_chars(colon + 1, rest.data() + rest.size(), column);
  if (error2 != std::errc()) return message;
  if (line == 1) column += raw.column - 1;
  line += raw.line - 1;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column) +
         std::string(end, rest.data() + rest.size());
}

}  // namespace

Json parse_row(const RawRow& raw, const std::string& file) {
  const bool own_line = raw.column == 1 && raw.text.find('\n') == std::string_view::npos;
  if (own_line) return parse_json(raw.text, file + ":" + std::to_string(raw.line));
  try {
    return parse_json(raw.text, file);
  } catch (const Error& error) {
    throw Error(error.code(), replace_place(error.what(), file, raw), error.hint());
  }
}

namespace {

class FileReader {
 public:
  FileReader(const DataFile& file, const DataSource& source, const ReadOptions& options)
      : file_(file), source_(source), options_(options) {}

  ReadRows read() {
    const bool paragraphs = (file_.extension() == ".txt" || file_.extension() == ".md") &&
                            (source_.format == "text" || source_.format == "auto");
    std::vector<RawRow> raw =
        paragraphs ? cut_paragraphs(file_, options_.paragraph_bytes) : cut_json_rows(file_);
    if (source_.max_samples > 0 && raw.size() > static_cast<std::size_t>(source_.max_samples)) {
      raw.resize(static_cast<std::size_t>(source_.max_samples));
    }
    if (!paragraphs) choose_format(raw);

    ReadRows result;
    result.format = paragraphs ? "text" : format_ != nullptr ? format_->name : source_.format;
    result.rows.resize(raw.size());
    for_each_parallel(raw.size(), "reading", [&](std::size_t i) {
      Row& row = result.rows[i];
      row.source = {file_.name(), raw[i].line};
      row.fingerprint = hash_name(raw[i].text.data(), raw[i].text.size());
      row.value = paragraphs ? RowValue(Text{std::string(raw[i].text)}) : value_of(raw[i]);
    });
    return result;
  }

 private:
  void choose_format(const std::vector<RawRow>& raw) {
    if (source_.format != "auto") {
      format_ = &named_format(source_.format, file_.name());
    } else if (!raw.empty() && options_.scope == FormatScope::kFile) {
      const Json first = parse_row(raw.front(), file_.name());
      format_ = &detect_format(view_of(first, raw.front()));
      detected_at_ = raw.front().line;
    }
  }

  JsonView view_of(const Json& json, const RawRow& raw) const {
    JsonView view(json, file_.name() + ":" + std::to_string(raw.line));
    check(view.is_object(), view.where(), ": a row must be an object {…}");
    return view;
  }

  RowValue value_of(const RawRow& raw) const {
    const Json json = parse_row(raw, file_.name());
    const JsonView row = view_of(json, raw);
    const RowFormat& format = format_ != nullptr ? *format_ : detect_format(row);
    for (const std::string& key : format.keys) {
      check(row.json().contains(key), row.where(), ": /", key, ": missing",
            Hint{detected_at_ > 0 ? "line " + std::to_string(detected_at_) + " made this a file of " +
                                        format.name + " rows; a file holds rows of one format"
                                  : "rows of " + format.name + " have: " + join(format.keys, ", ")});
    }
    return format.read(row, options_.prompt_form);
  }

  const DataFile& file_;
  const DataSource& source_;
  const ReadOptions& options_;
  const RowFormat* format_ = nullptr;
  std::int64_t detected_at_ = 0;
};

}  // namespace

std::span<const RowFormat> row_formats() { return kFormats; }

ReadRows read_rows(const DataSource& source, const ReadOptions& options) {
  const DataFile file{Path(source.path)};
  ReadRows result = FileReader(file, source, options).read();
  result.sha256 = sha256_of_file(source.path);
  return result;
}

}  // namespace graft
