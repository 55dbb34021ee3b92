#include "generate/answer.h"

#include <algorithm>

namespace graft {

std::vector<std::int32_t> stop_tokens(const ModelConfig& config, const Tokenizer& tokenizer,
                                      const std::optional<ChatTemplate>& chat) {
  std::vector<std::int32_t> ids = config.eos_token_ids;
  const auto add = [&](std::optional<std::int32_t> id) {
    if (id && std::find(ids.begin(), ids.end(), *id) == ids.end()) ids.push_back(*id);
  };
  add(tokenizer.eos());
  if (chat && chat->end_of_turn()) add(tokenizer.id(*chat->end_of_turn()));
  return ids;
}

std::vector<std::int32_t> chat_prompt(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                      std::span<const Message> messages) {
  const RenderedChat rendered =
      chat.render(messages, {.add_generation_prompt = true, .spans = AssistantSpans::kNone});
  return tokenizer.encode(rendered.text, SpecialTokens::kNone).ids;
}

Answer write_answer(Generator& generator, const Tokenizer& tokenizer, const std::vector<std::int32_t>& prompt,
                    const SamplingOptions& options, const std::vector<std::int32_t>& stop_ids,
                    const std::function<bool(std::string_view)>& on_text) {
  Answer answer;
  StreamDecoder decoder(tokenizer);
  const auto put = [&](const std::string& text) {
    answer.text += text;
    return text.empty() || !on_text || on_text(text);
  };
  const Generated generated = generator.run(prompt, options, stop_ids, [&](std::int32_t token) {
    return put(tokenizer.is_special(token) ? std::string() : decoder.put(token));
  });
  put(decoder.finish());
  answer.reason = generated.reason;
  answer.tokens = generated.tokens.size();
  return answer;
}

}  // namespace graft
