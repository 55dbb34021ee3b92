#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/config.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace graft {

/// Tokens that end an answer, each once: the eos ids of config.json and generation_config.json (of a GGUF its
/// eos, eot and eom), the tokenizer's end, the template's end of turn, and the special tokens of the
/// vocabulary that are known to end a turn by name ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", …). `stop`:
/// stop strings; one that spells a special token is that token, since special tokens leave no text.
std::vector<std::int32_t> stop_tokens(const ModelConfig& config, const Tokenizer& tokenizer,
                                      const std::optional<ChatTemplate>& chat,
                                      std::span<const std::string> stop = {});

}  // namespace graft
