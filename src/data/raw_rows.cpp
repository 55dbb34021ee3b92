#include "data/raw_rows.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::vector<RawRow> cut_lines(std::string_view text) {
  std::vector<RawRow> rows;
  std::int64_t line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t newline = std::min(text.find('\n', begin), text.size());
    std::string_view row = text.substr(begin, newline - begin);
    if (row.ends_with('\r')) row.remove_suffix(1);
    ++line;
    if (!std::ranges::all_of(row, is_space)) rows.push_back({row, line, 1});
    begin = newline + 1;
  }
  return rows;
}

/// Walks over JSON text byte by byte and knows depth, strings and place; the values are parsed later, one by
/// one.
class ArrayCutter {
 public:
  explicit ArrayCutter(const DataFile& file) : name_(file.name()), text_(file.text()) {}

  std::vector<RawRow> cut() {
    for (; at_ < text_.size(); advance()) {
      if (closed_) {
        check(is_space(text_[at_]), place(), ": text after the end of the array");
      } else if (in_string_) {
        pass_string();
      } else {
        pass();
      }
    }
    check(closed_, place(), ": the array does not end (want ])");
    return std::move(rows_);
  }

 private:
  std::string place() const {
    return name_ + ":" + std::to_string(line_) + ":" + std::to_string(at_ - line_start_ + 1);
  }

  void advance() {
    if (text_[at_] == '\n') {
      ++line_;
      line_start_ = at_ + 1;
    }
    ++at_;
  }

  void pass_string() {
    if (escaped_) {
      escaped_ = false;
    } else if (text_[at_] == '\\') {
      escaped_ = true;
    } else if (text_[at_] == '"') {
      in_string_ = false;
    }
  }

  void pass() {
    const char c = text_[at_];
    if (is_space(c)) return;
    if (depth_ == 1 && (c == ',' || c == ']')) return end_element(c);
    if (depth_ == 1 && !element_) element_ = RawRow{text_.substr(at_), line_, column()};
    if (c == '[' || c == '{') ++depth_;
    if (c == ']' || c == '}') --depth_;
    if (c == '"') in_string_ = true;
    // A closing bracket too many inside an element: its own parser says so.
    depth_ = std::max<std::int64_t>(depth_, 1);
  }

  void end_element(char c) {
    const bool empty_array = c == ']' && rows_.empty();
    check(element_.has_value() || empty_array, place(), ": got ", c, ", want a row");
    if (element_) {
      const auto begin = static_cast<std::size_t>(element_->text.data() - text_.data());
      element_->text = text_.substr(begin, at_ - begin);
      rows_.push_back(*element_);
      element_.reset();
    }
    closed_ = c == ']';
  }

  std::int64_t column() const { return static_cast<std::int64_t>(at_ - line_start_) + 1; }

  const std::string& name_;
  std::string_view text_;
  std::vector<RawRow> rows_;
  std::optional<RawRow> element_;
  std::size_t at_ = 0, line_start_ = 0;
  std::int64_t line_ = 1, depth_ = 0;
  bool in_string_ = false, escaped_ = false, closed_ = false;
};

/// The end of a piece of `text` of at most `max_bytes`: after a line break, else a space, else a whole
/// character.
std::size_t soft_end(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text.size();
  for (const char border : {'\n', ' '}) {
    const std::size_t found = text.rfind(border, max_bytes - 1);
    if (found != std::string_view::npos && found > 0) return found + 1;
  }
  std::size_t end = max_bytes;
  while (end > 1 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return end;
}

/// Half-open ranges of bytes, one per paragraph, line breaks at its end left out.
struct Paragraph {
  std::size_t begin, end;
};

std::vector<Paragraph> find_paragraphs(std::string_view text) {
  std::vector<Paragraph> paragraphs;
  bool open = false;
  for (const RawRow& line : cut_lines(text)) {
    const auto begin = static_cast<std::size_t>(line.text.data() - text.data());
    const std::string_view gap =
        open ? text.substr(paragraphs.back().end, begin - paragraphs.back().end) : std::string_view();
    const bool continues = open && std::ranges::count(gap, '\n') == 1;
    if (continues) {
      paragraphs.back().end = begin + line.text.size();
    } else {
      paragraphs.push_back({begin, begin + line.text.size()});
    }
    open = true;
  }
  return paragraphs;
}

}  // namespace

std::vector<RawRow> cut_json_rows(const DataFile& file) {
  const std::string_view text = file.text();
  const auto first = std::ranges::find_if_not(text, is_space);
  if (first != text.end() && *first == '[') return ArrayCutter(file).cut();
  return cut_lines(text);
}

std::vector<RawRow> cut_paragraphs(const DataFile& file, std::size_t max_bytes) {
  const std::string_view text = file.text();
  if (const auto invalid = find_invalid_utf8(text)) {
    const auto line = 1 + std::ranges::count(text.substr(0, *invalid), '\n');
    fail(file.name(), ":", line, ": invalid UTF-8 (byte ", *invalid, ")", Hint{"convert the file to UTF-8"});
  }
  std::vector<Paragraph> pieces;
  for (Paragraph rest : find_paragraphs(text)) {
    const bool joins = !pieces.empty() && rest.end - pieces.back().begin <= max_bytes;
    if (joins) {
      pieces.back().end = rest.end;
      continue;
    }
    while (rest.begin < rest.end) {
      const std::size_t size = soft_end(text.substr(rest.begin, rest.end - rest.begin), max_bytes);
      pieces.push_back({rest.begin, rest.begin + size});
      rest.begin += size;
    }
  }
  std::vector<RawRow> rows;
  std::int64_t line = 1;
  std::size_t counted = 0;
  for (const Paragraph& piece : pieces) {
    line += std::ranges::count(text.substr(counted, piece.begin - counted), '\n');
    counted = piece.begin;
    rows.push_back({text.substr(piece.begin, piece.end - piece.begin), line, 1});
  }
  return rows;
}

}  // namespace graft
