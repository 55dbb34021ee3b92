#include "data/control_tokens.h"

#include <algorithm>

namespace graft {

ControlTokens::ControlTokens(const Tokenizer& tokenizer) {
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_special(id) || tokenizer.token(id).empty()) continue;
    by_first_byte_[static_cast<unsigned char>(tokenizer.token(id).front())].push_back(tokenizer.token(id));
  }
  for (auto& tokens : by_first_byte_) {
    std::ranges::sort(tokens, [](const auto& a, const auto& b) { return a.size() > b.size(); });
  }
}

std::vector<std::string> ControlTokens::find(std::string_view text) const {
  std::vector<std::string> found;
  for (std::size_t at = 0; at < text.size();) {
    const auto& candidates = by_first_byte_[static_cast<unsigned char>(text[at])];
    const auto token = std::ranges::find_if(
        candidates, [&](const std::string& candidate) { return text.substr(at).starts_with(candidate); });
    if (token == candidates.end()) {
      ++at;
      continue;
    }
    found.push_back(*token);
    at += token->size();
  }
  return found;
}

std::vector<std::string> ControlTokens::find(const RowValue& row) const {
  std::vector<std::string> found;
  each_text(row, [&](std::string_view text) {
    for (std::string& token : find(text)) found.push_back(std::move(token));
  });
  return found;
}

}  // namespace graft
