#include "text/post_processor.h"

#include "base/text.h"
#include "text/added_tokens.h"

namespace graft {
namespace {

constexpr std::uint32_t kSpelledSpace = 0x120;  // "Ġ", a space in GPT-2's byte alphabet

struct BlankEnds {
  std::size_t leading = 0, trailing = 0;  // characters
};

BlankEnds blank_ends(std::string_view spelling) {
  BlankEnds ends;
  bool only_blank = true;
  for (std::size_t i = 0; i < spelling.size();) {
    const CodePoint c = code_point_at(spelling, i);
    i += c.length;
    if (c.value == kSpelledSpace || is_white_space(c.value)) {
      ++ends.trailing;
      if (only_blank) ++ends.leading;
    } else {
      ends.trailing = 0;
      only_blank = false;
    }
  }
  return ends;
}

bool inside_character(std::string_view text, std::size_t i) {
  return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
}

void trim(const TrimOffsets& step, std::string_view text, const Vocabulary& vocabulary, Encoding& encoding) {
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    ByteSpan& span = encoding.offsets[i];
    // An added token counts as the text it took, stripped spaces included.
    const bool added = vocabulary.kind(encoding.ids[i]) != TokenKind::kWord;
    BlankEnds blank = blank_ends(added ? text.substr(span.begin, span.end - span.begin)
                                       : std::string_view(vocabulary.spelling(encoding.ids[i])));
    // One space at the start may be the one that was put in; several were written.
    if (step.add_prefix_space && (i == 0 || span.begin == 0) && blank.leading == 1) blank.leading = 0;
    for (; blank.leading > 0 && span.begin < span.end; --blank.leading) do
        ++span.begin;
      while (inside_character(text, span.begin));
    for (; blank.trailing > 0 && span.end > span.begin; --blank.trailing) do
        --span.end;
      while (inside_character(text, span.end));
  }
}

void surround(const SurroundingTokens& step, Encoding& encoding) {
  encoding.ids.insert(encoding.ids.begin(), step.before.begin(), step.before.end());
  encoding.ids.insert(encoding.ids.end(), step.after.begin(), step.after.end());
  encoding.offsets.insert(encoding.offsets.begin(), step.before.size(), ByteSpan{});
  encoding.offsets.insert(encoding.offsets.end(), step.after.size(), ByteSpan{});
}

}  // namespace

void post_process(const std::vector<PostProcessorStep>& steps, std::string_view text,
                  const Vocabulary& vocabulary, SpecialTokens special, Encoding& encoding) {
  for (const PostProcessorStep& step : steps) {
    if (const auto* trimmed = std::get_if<TrimOffsets>(&step)) trim(*trimmed, text, vocabulary, encoding);
    const auto* surrounding = std::get_if<SurroundingTokens>(&step);
    if (surrounding != nullptr && special == SpecialTokens::kAdd) surround(*surrounding, encoding);
  }
}

}  // namespace graft
