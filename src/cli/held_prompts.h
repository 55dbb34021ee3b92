#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/decoder.h"
#include "text/tokenizer.h"

namespace graft {

/// Token sequences on which models are compared.
using Prompts = std::vector<std::vector<std::int32_t>>;

/// Texts that no adapter was trained on, as the tokenizer of `base` encodes them; random tokens where it has
/// none.
Prompts held_prompts(const std::string& base, const ModelConfig& config);
/// The same by a tokenizer that is loaded already; random tokens too where it knows more than the model does.
Prompts held_prompts(const Tokenizer& tokenizer, const ModelConfig& config);

/// Error (kInternal) unless the tokenizer of `written` encodes the held texts as that of `base` does. Nothing
/// where the base has none.
void check_same_tokenizer(const std::string& base, const std::string& written);

/// Log-probabilities after every token of all prompts, [T,V] fp32.
at::Tensor predictions(const Decoder& model, const Prompts& prompts);

}  // namespace graft
