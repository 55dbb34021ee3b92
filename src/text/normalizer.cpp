#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace graft {
namespace {

// A character on its way through NFC. `change` as in Hugging Face's tokenizers: 0 replaces a character of the
// original, 1 was inserted after one, -n replaces one and swallows the n after it.
struct Traced {
  std::uint32_t value;
  int change;
};

int combining_class(std::uint32_t c) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
}

// Appends the canonical decomposition of `c`.
void decompose(std::uint32_t c, std::vector<Traced>& out) {
  if (c < 0xC0) {
    out.push_back({c, 0});
    return;
  }
  std::array<utf8proc_int32_t, 8> parts;
  int last_boundary = UTF8PROC_BOUNDCLASS_START;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts.data(),
                                             static_cast<utf8proc_ssize_t>(parts.size()), UTF8PROC_DECOMPOSE,
                                             &last_boundary);
  if (count < 1 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
    out.push_back({c, 0});
    return;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    out.push_back({static_cast<std::uint32_t>(parts[i]), i == 0 ? 0 : 1});
}

// The primary composite of two characters, or 0.
std::uint32_t compose(std::uint32_t a, std::uint32_t b) {
  if (b < 0x300) return 0;  // nothing below the combining marks composes with what stands before it
  // The place before the first trailing consonant of Hangul: not one itself, though utf8proc takes it for
  // one.
  if (b == 0x11A7) return 0;
  std::array<utf8proc_int32_t, 2> pair = {static_cast<utf8proc_int32_t>(a), static_cast<utf8proc_int32_t>(b)};
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const auto count = utf8proc_normalize_utf32(pair.data(), 2, options);
  return count == 1 ? static_cast<std::uint32_t>(pair[0]) : 0;
}

// Canonical decomposition with the marks after each starter in canonical order.
std::vector<Traced> decomposed(std::string_view text) {
  std::vector<Traced> characters;
  characters.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    decompose(c.value, characters);
    i += c.length;
  }
  for (std::size_t i = 0; i < characters.size();) {
    std::size_t end = i;
    while (end < characters.size() && combining_class(characters[end].value) != 0) ++end;
    std::stable_sort(
        characters.begin() + static_cast<std::ptrdiff_t>(i),
        characters.begin() + static_cast<std::ptrdiff_t>(end),
        [](const Traced& a, const Traced& b) { return combining_class(a.value) < combining_class(b.value); });
    i = end + 1;
  }
  return characters;
}

// Canonical composition in place (Unicode standard annex 15): a mark joins the last starter unless a mark of
// the same or a higher class stands between.
std::vector<Traced> composed(const std::vector<Traced>& characters) {
  std::vector<Traced> out;
  out.reserve(characters.size());
  std::size_t starter = std::string_view::npos;
  int last_class = -1;  // of the marks between starter and here; -1: none
  for (const Traced& c : characters) {
    const int c_class = combining_class(c.value);
    if (starter != std::string_view::npos && last_class < (c_class == 0 ? 0 : c_class)) {
      if (const std::uint32_t whole = compose(out[starter].value, c.value)) {
        out[starter] = {whole, out[starter].change + c.change - 1};
        continue;
      }
    }
    if (c_class == 0) {
      starter = out.size();
      last_class = -1;
    } else {
      last_class = c_class;
    }
    out.push_back(c);
  }
  return out;
}

// Spells the characters and traces each byte to the original bytes of `text`.
std::unique_ptr<Segment> traced_segment(const std::vector<Traced>& characters, std::string_view text,
                                        std::size_t base) {
  std::string result;
  std::vector<ByteSpan> spans;
  std::size_t position = 0;  // in text: behind the characters already accounted for
  const auto character_at = [&](std::size_t at) {
    return ByteSpan{base + at, base + at + code_point_at(text, at).length};
  };
  ByteSpan last{base, base};
  for (const Traced& c : characters) {
    ByteSpan span = last;
    if (c.change <= 0 && position < text.size()) {
      span = character_at(position);
      for (int i = 0; i <= -c.change && position < text.size(); ++i) {
        last = character_at(position);
        position += last.end - last.begin;
      }
    }
    append_utf8(result, c.value);
    spans.resize(result.size(), span);
  }
  return std::make_unique<Segment>(std::move(result), std::move(spans));
}

bool needs_no_normalization(std::string_view text) {
  // Below U+0300 every character is its own NFC and none composes with its neighbour.
  for (std::size_t i = 0; i < text.size(); ++i)
    if (static_cast<unsigned char>(text[i]) >= 0xCC) return false;
  return true;
}

}  // namespace

std::unique_ptr<Segment> normalize(Normalizer normalizer, std::string_view text, std::size_t base) {
  if (normalizer == Normalizer::kNone || needs_no_normalization(text))
    return std::make_unique<Segment>(text, base);
  return traced_segment(composed(decomposed(text)), text, base);
}

std::string to_nfc(std::string_view text) {
  return std::string(normalize(Normalizer::kNfc, text, 0)->text());
}

}  // namespace graft
