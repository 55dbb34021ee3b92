#include "cli/held_prompts.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/random.h"
#include "evaluate/compare.h"

namespace graft {
namespace {

constexpr const char* kPrompts[] = {
    "How do I make a good tomato soup? Chop 2 onions, then",
    "The capital of France is Paris. Water boils at 100 degrees;",
    "def mean(values):\n    return sum(values) / len(values)\n\nNaïve café — “quotes”, 你好。",
};
constexpr std::size_t kRandomTokens = 48;

bool has_tokenizer(const Path& base) {
  if (!std::filesystem::is_directory(base)) return true;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tekken.json"})
    if (std::filesystem::exists(base / name)) return true;
  return false;
}

Prompts encoded(const Tokenizer& tokenizer) {
  Prompts prompts;
  for (const char* text : kPrompts) prompts.push_back(tokenizer.encode(text, SpecialTokens::kAdd).ids);
  return prompts;
}

Prompts random_prompt(const ModelConfig& config) {
  RandomStream random(0);
  std::vector<std::int32_t> tokens(kRandomTokens);
  for (std::int32_t& token : tokens)
    token = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(config.vocab_size)));
  return {tokens};
}

}  // namespace

Prompts held_prompts(const Tokenizer& tokenizer, const ModelConfig& config) {
  Prompts prompts = encoded(tokenizer);
  const bool fit = std::ranges::all_of(
      prompts, [&](const auto& ids) { return std::ranges::max(ids) < config.vocab_size; });
  return fit ? prompts : random_prompt(config);
}

Prompts held_prompts(const std::string& base, const ModelConfig& config) {
  return has_tokenizer(base) ? held_prompts(load_tokenizer(base), config) : random_prompt(config);
}

void check_same_tokenizer(const std::string& base, const std::string& written) {
  if (has_tokenizer(base))
    check(encoded(load_tokenizer(base)) == encoded(load_tokenizer(written)), ExitCode::kInternal, written,
          ": its tokenizer does not encode as the base's does");
}

at::Tensor predictions(const Decoder& model, const Prompts& prompts) {
  std::vector<at::Tensor> all;
  for (const auto& prompt : prompts) all.push_back(log_probabilities(model, prompt));
  return at::cat(all);
}

}  // namespace graft
