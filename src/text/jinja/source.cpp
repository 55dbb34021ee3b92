#include "text/jinja/source.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::size_t kMaxSourceBytes = std::size_t{1} << 20;

std::string with_plain_line_breaks(std::string_view raw) {
  std::string text;
  text.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '\r' && i + 1 < raw.size() && raw[i + 1] == '\n') continue;
    text += raw[i] == '\r' ? '\n' : raw[i];
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

JinjaSource::JinjaSource(std::string_view raw, std::string source_name) : name(std::move(source_name)) {
  check(raw.size() <= kMaxSourceBytes, name, ": a template of ", raw.size(), " bytes, want at most ",
        kMaxSourceBytes);
  const auto invalid = find_invalid_utf8(raw);
  check(!invalid, name, " @", invalid.value_or(0), ": not valid UTF-8");
  text = with_plain_line_breaks(raw);
}

std::string JinjaSource::place(std::size_t at) const {
  const std::string_view before = std::string_view(text).substr(0, at);
  const auto line = std::ranges::count(before, '\n') + 1;
  const std::string_view row = before.substr(before.rfind('\n') + 1);  // npos + 1 is 0
  const auto column =
      std::ranges::count_if(row, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }) + 1;
  return name + ":" + std::to_string(line) + ":" + std::to_string(column);
}

}  // namespace graft
