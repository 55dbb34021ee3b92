#include "generate/answer.h"

#include <utility>

namespace graft {

std::vector<std::int32_t> chat_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                      std::span<const Message> messages, RenderOptions inputs) {
  inputs.add_generation_prompt = true;
  inputs.spans = AssistantSpans::kNone;
  return tokenizer.encode(chat.render(messages, inputs).text, SpecialTokens::kNone).ids;
}

bool AnswerWriter::write(const std::string& text) {
  text_ += text;
  return text.empty() || !on_text_ || on_text_(text);
}

bool AnswerWriter::put(std::int32_t token) {
  if (tokenizer_.is_special(token)) return write("");
  return write(stop_.put(decoder_.put(token))) && !stop_.stopped();
}

Answer AnswerWriter::finish(const Generated& generated) {
  write(stop_.put(decoder_.finish()));
  write(stop_.finish());
  return {.text = std::exchange(text_, {}),
          .reason = stop_.stopped() ? StopReason::kStopString : generated.reason,
          .tokens = generated.tokens.size()};
}

Answer write_answer(Generator& generator, const Tokenizer& tokenizer, Request request,
                    const std::function<bool(std::string_view)>& on_text) {
  AnswerWriter writer(tokenizer, request.sampling.stop, on_text);
  request.on_token = [&](std::int32_t token) { return writer.put(token); };
  return writer.finish(generator.run(request));
}

}  // namespace graft
