#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/options.h"
#include "data/row.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace graft {

/// Tokens of a row and their labels as Hugging Face writes them (not shifted, kIgnoreLabel = not learned).
struct LabelledTokens {
  std::vector<std::int32_t> ids, labels;
};

/// How a row may be made shorter, in tokens: [0, front) is kept, [front, answer) is prompt and goes from the
/// left, [answer, closing) goes from the right, [closing, end) is kept (the end of a turn), [end, size) goes
/// first. [header, answer) of the prompt, the assistant's header, is kept. front <= header <= answer <=
/// closing <= end.
struct Cut {
  std::size_t front = 0, header = 0, answer = 0, closing = 0, end = 0;
};

/// What encoding a row needs to know. Refers to values that outlive it.
struct Labeller {
  const Tokenizer& tokenizer;
  const std::optional<ChatTemplate>& chat;
  TrainOn train_on = TrainOn::kAssistant;

  /// Renders once, encodes once. A token is learned only if its whole, non-empty span of bytes lies in a span
  /// that the assistant wrote, end of turn included; text and its EOS are learned whole; of prompt and
  /// completion the completion and EOS; token rows as they say. Errors name `row.source`: turns without a
  /// chat template, a train flag on a turn that it cannot concern, whatever the template refuses.
  LabelledTokens label(const Row& row) const;
  /// Where a row may be cut; `tokens` is its label().
  Cut find_cut(const Row& row, const LabelledTokens& tokens) const;
};

/// Shortens `tokens` to at most `max_tokens`. False, and nothing changed, where that would leave nothing of
/// the answer.
bool shorten(LabelledTokens& tokens, const Cut& cut, std::size_t max_tokens);

}  // namespace graft
