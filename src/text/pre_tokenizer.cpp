#include "text/pre_tokenizer.h"

#include <utf8proc.h>

#include <algorithm>

#include "base/text.h"

namespace graft {

namespace {

struct Cut {
  ByteSpan range;
  bool match;
};

// The matches and what lies between them, covering all `size` bytes.
std::vector<Cut> cuts_of(const std::vector<ByteSpan>& matches, std::size_t size) {
  std::vector<Cut> cuts;
  std::size_t position = 0;
  for (const ByteSpan& match : matches) {
    if (position != match.begin) cuts.push_back({{position, match.begin}, false});
    cuts.push_back({match, true});
    position = match.end;
  }
  if (position != size) cuts.push_back({{position, size}, false});
  return cuts;
}

// Joins each match to the cut before it; a match after a match stays alone.
std::vector<Cut> merged_with_previous(const std::vector<Cut>& cuts) {
  std::vector<Cut> merged;
  bool after_match = false;
  for (const Cut& cut : cuts) {
    if (cut.match && !after_match && !merged.empty())
      merged.back().range.end = cut.range.end;
    else
      merged.push_back(cut);
    after_match = cut.match;
  }
  return merged;
}

std::vector<Cut> merged_with_next(const std::vector<Cut>& cuts) {
  std::vector<Cut> merged;
  bool before_match = false;
  for (auto cut = cuts.rbegin(); cut != cuts.rend(); ++cut) {
    if (cut->match && !before_match && !merged.empty())
      merged.back().range.begin = cut->range.begin;
    else
      merged.push_back(*cut);
    before_match = cut->match;
  }
  std::reverse(merged.begin(), merged.end());
  return merged;
}

std::vector<Cut> contiguous(const std::vector<Cut>& cuts) {
  std::vector<Cut> merged;
  for (const Cut& cut : cuts) {
    if (!merged.empty() && merged.back().match == cut.match)
      merged.back().range.end = cut.range.end;
    else
      merged.push_back(cut);
  }
  return merged;
}

std::vector<Cut> apply_behavior(std::vector<Cut> cuts, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kIsolated:
      return cuts;
    case SplitBehavior::kRemoved:
      std::erase_if(cuts, [](const Cut& cut) { return cut.match; });
      return cuts;
    case SplitBehavior::kMergedWithPrevious:
      return merged_with_previous(cuts);
    case SplitBehavior::kMergedWithNext:
      return merged_with_next(cuts);
    case SplitBehavior::kContiguous:
      return contiguous(cuts);
  }
  return cuts;
}

void append_cuts(const std::vector<Cut>& cuts, std::size_t base, std::vector<ByteSpan>& words) {
  for (const Cut& cut : cuts)
    if (cut.range.begin != cut.range.end) words.push_back({base + cut.range.begin, base + cut.range.end});
}

bool is_number(std::uint32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO;
}

std::vector<ByteSpan> numbers_in(std::string_view text) {
  std::vector<ByteSpan> numbers;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    if (is_number(c.value)) numbers.push_back({i, i + c.length});
    i += c.length;
  }
  return numbers;
}

// One step applied to one range of a segment's text.
struct StepRunner {
  const Segment& segment;
  ByteSpan range;
  Regex::Scratch& scratch;
  std::vector<ByteSpan>& words;

  std::string_view text() const { return segment.text(range); }

  void operator()(const SplitStep& step) const {
    std::vector<ByteSpan> matches;
    step.pattern.find_all(text(), scratch, matches);
    std::vector<Cut> cuts = cuts_of(matches, text().size());
    if (step.inverted)
      for (Cut& cut : cuts) cut.match = !cut.match;
    append_cuts(apply_behavior(std::move(cuts), step.behavior), range.begin, words);
  }

  void operator()(const DigitsStep& step) const {
    std::vector<Cut> cuts = cuts_of(numbers_in(text()), text().size());
    if (!step.individual) cuts = contiguous(cuts);
    append_cuts(cuts, range.begin, words);
  }

  void operator()(const MetaspaceStep& step) const {
    if (!step.split) {
      words.push_back(range);
      return;
    }
    std::vector<ByteSpan> matches;
    const std::string_view all = text();
    for (std::size_t at = all.find(step.replacement); at != std::string_view::npos;
         at = all.find(step.replacement, at + step.replacement.size()))
      matches.push_back({at, at + step.replacement.size()});
    append_cuts(merged_with_next(cuts_of(matches, all.size())), range.begin, words);
  }

  void operator()(const ByteLevelStep& step) const {
    if (!step.pattern) {
      words.push_back(range);
      return;
    }
    std::vector<ByteSpan> matches;
    step.pattern->find_all(text(), scratch, matches);
    append_cuts(cuts_of(matches, text().size()), range.begin, words);
  }
};

// The segment with a space before each range that does not start with one; it stands for the character after
// it.
std::unique_ptr<Segment> with_prefix_spaces(const Segment& segment, std::vector<ByteSpan>& ranges) {
  SegmentBuilder built(segment);
  for (ByteSpan& range : ranges) {
    const std::size_t begin = built.size();
    if (!segment.text(range).starts_with(' '))
      built.put(" ", segment.original({range.begin, range.begin + 1}));
    built.copy(range);
    range = {begin, built.size()};
  }
  return built.take();
}

// The segment with `replacement` for spaces and before the ranges that want one, which stands for the
// character after it.
std::unique_ptr<Segment> with_metaspaces(const MetaspaceStep& step, const Segment& segment,
                                         std::vector<ByteSpan>& ranges) {
  SegmentBuilder built(segment);
  for (ByteSpan& range : ranges) {
    const std::string_view word = segment.text(range);
    const std::size_t begin = built.size();
    const bool starts = word.starts_with(' ') || word.starts_with(step.replacement);
    const bool wanted = step.prepend == PrependScheme::kAlways ||
                        (step.prepend == PrependScheme::kFirst && segment.original(range).begin == 0);
    if (wanted && !starts) built.put(step.replacement, segment.original({range.begin, range.begin + 1}));
    for (std::size_t i = range.begin; i < range.end;) {
      const std::size_t space = std::min(segment.text().find(' ', i), range.end);
      built.copy({i, space});
      if (space < range.end) built.put(step.replacement, segment.original({space, space + 1}));
      i = space + 1;
    }
    range = {begin, built.size()};
  }
  return built.take();
}

// Null where the step leaves the text as it is.
std::unique_ptr<Segment> changed_by(const PreTokenizerStep& step, const Segment& segment,
                                    std::vector<ByteSpan>& ranges) {
  if (const auto* byte_level = std::get_if<ByteLevelStep>(&step))
    return byte_level->add_prefix_space ? with_prefix_spaces(segment, ranges) : nullptr;
  if (const auto* metaspace = std::get_if<MetaspaceStep>(&step))
    return with_metaspaces(*metaspace, segment, ranges);
  return nullptr;
}

}  // namespace

Words PreTokenizer::split(const Segment& segment, ByteSpan range, Regex::Scratch& scratch) const {
  Words words{{range}, nullptr};
  for (const PreTokenizerStep& step : steps_) {
    if (auto changed = changed_by(step, words.changed ? *words.changed : segment, words.ranges))
      words.changed = std::move(changed);
    const Segment& current = words.changed ? *words.changed : segment;
    std::vector<ByteSpan> cut;
    for (const ByteSpan& word : words.ranges) std::visit(StepRunner{current, word, scratch, cut}, step);
    words.ranges = std::move(cut);
  }
  return words;
}

}  // namespace graft
