#include "generate/stop_tokens.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace graft {
namespace {

/// Ends of a turn or a text by name. Many a generation_config.json names only one of the two that its model
/// writes. Source: the tokenizers of Qwen, Llama 3 and 4, Gemma, Phi, Granite, OLMo, DeepSeek, SmolVLM.
constexpr std::array<std::string_view, 11> kEnds = {
    "<|im_end|>",      "<|eot_id|>",         "<|eom_id|>", "<|eot|>",       "<|end|>",        "<end_of_turn>",
    "<|end_of_turn|>", "<end_of_utterance>", "<|EOT|>",    "<|endoftext|>", "<|end_of_text|>"};

}  // namespace

std::vector<std::int32_t> stop_tokens(const ModelConfig& config, const Tokenizer& tokenizer,
                                      const std::optional<ChatTemplate>& chat,
                                      std::span<const std::string> stop) {
  std::vector<std::int32_t> ids = config.eos_token_ids;
  const auto add = [&](std::optional<std::int32_t> id) {
    if (id && std::ranges::find(ids, *id) == ids.end()) ids.push_back(*id);
  };
  const auto add_special = [&](std::string_view name) {
    const auto id = tokenizer.id(name);
    if (id && tokenizer.is_special(*id)) add(id);
  };
  add(tokenizer.eos());
  if (chat && chat->end_of_turn()) add(tokenizer.id(*chat->end_of_turn()));
  for (const std::string_view name : kEnds) add_special(name);
  for (const std::string& text : stop) add_special(text);
  return ids;
}

}  // namespace graft
