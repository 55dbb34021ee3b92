#include "text/post_processor.h"

#include <algorithm>

#include "base/text.h"

namespace graft {
namespace {

constexpr std::string_view kSpelledSpace = "Ġ";

struct BlankEnds {
  std::size_t leading = 0, trailing = 0;  // characters
};

bool is_blank(std::string_view spelling, std::size_t at) {
  return spelling.substr(at).starts_with(kSpelledSpace) || (spelling[at] >= '\t' && spelling[at] <= '\r') ||
         spelling[at] == ' ';
}

BlankEnds blank_ends(std::string_view spelling) {
  BlankEnds ends;
  bool only_blank = true;
  for (std::size_t i = 0; i < spelling.size(); i += code_point_at(spelling, i).length) {
    if (is_blank(spelling, i)) {
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
    BlankEnds blank = blank_ends(vocabulary.spelling(encoding.ids[i]));
    if (step.add_prefix_space && (i == 0 || span.begin == 0)) blank.leading = 0;
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
