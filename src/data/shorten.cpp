#include <algorithm>

#include "data/label.h"

namespace graft {
namespace {

void erase_range(LabelledTokens& tokens, std::size_t begin, std::size_t count) {
  for (std::vector<std::int32_t>* values : {&tokens.ids, &tokens.labels}) {
    const auto first = values->begin() + static_cast<std::ptrdiff_t>(begin);
    values->erase(first, first + static_cast<std::ptrdiff_t>(count));
  }
}

}  // namespace

bool shorten(LabelledTokens& tokens, const Cut& cut, std::size_t max_tokens) {
  if (tokens.ids.size() <= max_tokens) return true;
  std::size_t over = cut.end > max_tokens ? cut.end - max_tokens : 0;
  const std::size_t prompt = std::min(over, cut.header - cut.front);
  over -= prompt;
  // One token of the answer must stay: an answer that is only its end teaches to say nothing.
  if (over > 0 && over >= cut.closing - cut.answer) return false;
  erase_range(tokens, cut.end, tokens.ids.size() - cut.end);
  erase_range(tokens, cut.closing - over, over);
  erase_range(tokens, cut.front, prompt);
  return true;
}

}  // namespace graft
