#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "generate/generate.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace graft {

/// Tokens that end an answer: the config's, the tokenizer's end, and the template's end of turn.
std::vector<std::int32_t> stop_tokens(const ModelConfig& config, const Tokenizer& tokenizer,
                                      const std::optional<ChatTemplate>& chat);

/// The messages as the model expects them, up to where its answer begins. Only the template adds beginnings.
std::vector<std::int32_t> chat_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                      std::span<const Message> messages);

/// An answer as text, and why it ended.
struct Answer {
  std::string text;
  StopReason reason = StopReason::kLength;
  std::size_t tokens = 0;  ///< written, without the stop token
};

/// Runs the generator and turns tokens into text as they come; on_text gets whole characters only, and may
/// end the answer by returning false. Special tokens leave no text. Errors: as Generator::run.
Answer write_answer(Generator& generator, const Tokenizer& tokenizer, const std::vector<std::int32_t>& prompt,
                    const SamplingOptions& options, const std::vector<std::int32_t>& stop_ids,
                    const std::function<bool(std::string_view)>& on_text = {});

}  // namespace graft
