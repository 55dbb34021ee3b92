#include "text/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "text/added_tokens.h"
#include "text/unicode_nine.h"

namespace graft {
namespace {

using Traced = TracedCharacter;

constexpr auto kCompatible = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);

int combining_class(std::uint32_t c) {
  const int found = utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class;
  return found != 0 && is_later_mark(c) ? 0 : found;
}

// Appends the canonical or the compatibility decomposition of `c`.
void decompose(std::uint32_t c, bool compatible, std::vector<Traced>& out) {
  if (c < 0xA0 || is_later_composite(c)) {
    out.push_back({c, 0});
    return;
  }
  std::array<utf8proc_int32_t, 24> parts;  // the longest has 18
  int last_boundary = UTF8PROC_BOUNDCLASS_START;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts.data(),
                                             static_cast<utf8proc_ssize_t>(parts.size()),
                                             compatible ? kCompatible : UTF8PROC_DECOMPOSE, &last_boundary);
  if (count < 1 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
    out.push_back({c, 0});
    return;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
    out.push_back({static_cast<std::uint32_t>(parts[i]), i == 0 ? 0 : 1});
}

bool is_mark(std::uint32_t c) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

// Whether a character may join the one before it: a mark, or a Hangul vowel or final consonant.
bool may_join(std::uint32_t c) { return c >= 0x300 && (is_mark(c) || (c >= 0x1161 && c <= 0x11C2)); }

// Whether the character is its own NFC and joins nothing, whatever stands around it. May be false where it
// is.
bool is_plain_nfc(std::uint32_t c) {
  if (c < 0x300) return true;
  const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
  const bool decomposes = property->decomp_seqindex != UINT16_MAX && property->decomp_type == 0;
  return !decomposes && !may_join(c);
}

// The primary composite of two characters, or 0.
std::uint32_t compose(std::uint32_t a, std::uint32_t b) {
  if (!may_join(b)) return 0;
  // The place before the first trailing consonant of Hangul: not one itself, though utf8proc takes it for
  // one. U+11930 composes since Unicode 13 only.
  if (b == 0x11A7 || b == 0x11930) return 0;
  std::array<utf8proc_int32_t, 2> pair = {static_cast<utf8proc_int32_t>(a), static_cast<utf8proc_int32_t>(b)};
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const auto count = utf8proc_normalize_utf32(pair.data(), 2, options);
  return count == 1 ? static_cast<std::uint32_t>(pair[0]) : 0;
}

// Decomposition with the marks after each starter in canonical order.
std::vector<Traced> decomposed(std::string_view text, bool compatible) {
  std::vector<Traced> characters;
  characters.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    decompose(c.value, compatible, characters);
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

bool composes(UnicodeForm form) { return form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc; }
bool is_compatible(UnicodeForm form) { return form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd; }

// Below these first bytes of UTF-8 every character is its own normal form, and none composes with its
// neighbour.
unsigned char first_affected_byte(UnicodeForm form) {
  if (is_compatible(form)) return 0xC2;            // U+00A0
  return form == UnicodeForm::kNfc ? 0xCC : 0xC3;  // U+0300, U+00C0
}

// Where the grapheme cluster that starts at `begin` ends.
std::size_t grapheme_end(std::string_view text, std::size_t begin) {
  CodePoint c = code_point_at(text, begin);
  utf8proc_int32_t state = 0;
  for (std::size_t end = begin + c.length; end < text.size(); end += c.length) {
    const auto before = static_cast<utf8proc_int32_t>(c.value);
    c = code_point_at(text, end);
    if (utf8proc_grapheme_break_stateful(before, static_cast<utf8proc_int32_t>(c.value), &state)) return end;
  }
  return text.size();
}

// One step applied to a segment; null where it changes nothing.
struct StepRunner {
  const Segment& old;
  Regex::Scratch& scratch;
  using Result = std::unique_ptr<Segment>;

  template <class Visit>
  void each_character(const Visit& visit) const {
    for (std::size_t i = 0; i < old.text().size();) {
      const CodePoint c = code_point_at(old.text(), i);
      visit(c.value);
      i += c.length;
    }
  }

  bool is_nfc() const {
    for (std::size_t i = 0; i < old.text().size();) {
      const CodePoint c = code_point_at(old.text(), i);
      if (!is_plain_nfc(c.value)) return false;
      i += c.length;
    }
    return true;
  }

  // Without the characters that `keep` is false for.
  template <class Keep>
  Result filtered(const Keep& keep) const {
    std::vector<Traced> kept;
    std::size_t before = 0;  // removed before the first that is kept
    bool any_removed = false;
    each_character([&](std::uint32_t c) {
      if (keep(c)) {
        kept.push_back({c, 0});
        return;
      }
      any_removed = true;
      if (kept.empty())
        ++before;
      else
        --kept.back().change;
    });
    return any_removed ? transformed(old, kept, before) : nullptr;
  }

  Result operator()(UnicodeForm form) const {
    const auto affected = [limit = first_affected_byte(form)](char c) {
      return static_cast<unsigned char>(c) >= limit;
    };
    if (std::ranges::none_of(old.text(), affected) || (form == UnicodeForm::kNfc && is_nfc())) return nullptr;
    const std::vector<Traced> parts = decomposed(old.text(), is_compatible(form));
    return transformed(old, composes(form) ? composed(parts) : parts);
  }

  Result operator()(const Lowercase&) const {
    std::vector<Traced> lower;
    each_character([&](std::uint32_t c) {
      if (c == 0x130) {  // the one character whose lower case is two
        lower.push_back({'i', 0});
        lower.push_back({0x307, 1});
      } else {
        lower.push_back({static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), 0});
      }
    });
    return transformed(old, lower);
  }

  Result operator()(const StripSpace& step) const {
    std::vector<std::uint32_t> characters;
    each_character([&](std::uint32_t c) { characters.push_back(c); });
    std::size_t begin = 0, end = characters.size();
    while (step.left && begin < end && is_white_space(characters[begin])) ++begin;
    while (step.right && end > begin && is_white_space(characters[end - 1])) --end;
    if (begin == 0 && end == characters.size()) return nullptr;
    std::vector<Traced> kept;
    for (std::size_t i = begin; i < end; ++i) kept.push_back({characters[i], 0});
    return transformed(old, kept, begin);
  }

  Result operator()(const StripAccents&) const {
    return filtered([](std::uint32_t c) { return !is_mark(c); });
  }

  Result operator()(const Prepend& step) const {
    if (old.text().empty() || step.prefix.empty()) return nullptr;
    const std::size_t first = code_point_at(old.text(), 0).length;
    SegmentBuilder built(old);
    built.put(step.prefix, old.original({0, first}));
    built.copy({0, old.text().size()});
    return built.take();
  }

  Result operator()(const Replace& step) const {
    std::vector<ByteSpan> matches;
    step.pattern.find_all(old.text(), scratch, matches);
    if (matches.empty()) return nullptr;
    SegmentBuilder built(old);
    std::size_t done = 0;
    for (const ByteSpan& match : matches) {
      built.copy({done, match.begin});
      const std::size_t start = match.end == 0 ? old.original({0, 1}).begin : 0;
      built.put(step.content,
                match.end == 0 ? ByteSpan{start, start} : old.original({match.end - 1, match.end}));
      done = match.end;
    }
    built.copy({done, old.text().size()});
    return built.take();
  }

  Result operator()(const PrecompiledRules& step) const;
};

// What tokenizers does with a replaced stretch: its last characters count as inserted where it grew, and the
// last one swallows the rest where it shrank.
void append_replacement(std::string_view part, std::string_view replacement, std::vector<Traced>& out) {
  const auto characters_in = [](std::string_view text) {
    return std::ranges::count_if(text,
                                 [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
  };
  const auto grown = static_cast<std::ptrdiff_t>(characters_in(replacement) - characters_in(part));
  for (std::size_t i = 0; i < replacement.size();) {
    const CodePoint c = code_point_at(replacement, i);
    out.push_back({c.value, 0});
    i += c.length;
  }
  const auto size = static_cast<std::ptrdiff_t>(out.size());
  for (std::ptrdiff_t i = 0; i < grown && i < size; ++i)
    out[static_cast<std::size_t>(size - 1 - i)].change = 1;
  if (grown < 0 && size > 0) out.back().change += static_cast<int>(grown);
}

// Grapheme by grapheme: a short one is looked up whole, else character by character. Source: tokenizers,
// normalizers/precompiled.rs.
StepRunner::Result StepRunner::operator()(const PrecompiledRules& step) const {
  constexpr std::size_t kShort = 6;  // bytes
  const std::string_view text = old.text();
  std::vector<Traced> out;
  bool changed = false;
  const auto look_up = [&](std::string_view part) {
    const auto replacement = step.rules->shortest(part);
    if (replacement) append_replacement(part, *replacement, out);
    changed = changed || replacement.has_value();
    return replacement.has_value();
  };
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = grapheme_end(text, begin);
    if (end - begin >= kShort || !look_up(text.substr(begin, end - begin))) {
      for (std::size_t i = begin; i < end;) {
        const CodePoint c = code_point_at(text, i);
        if (!look_up(text.substr(i, c.length))) out.push_back({c.value, 0});
        i += c.length;
      }
    }
    begin = end;
  }
  return changed ? transformed(old, out) : nullptr;
}

}  // namespace

std::unique_ptr<Segment> Normalizer::apply(std::string_view text, std::size_t base,
                                           Regex::Scratch& scratch) const {
  auto segment = std::make_unique<Segment>(text, base);
  for (const NormalizerStep& step : steps_) {
    if (segment->text().empty()) break;
    if (auto changed = std::visit(StepRunner{*segment, scratch}, step)) segment = std::move(changed);
  }
  return segment;
}

}  // namespace graft
