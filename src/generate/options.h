#pragma once

#include <cstdint>

namespace graft {

/// How the next token is chosen; applied in the order of Hugging Face's generate: repetition penalty,
/// temperature, top-k, top-p. The defaults suit small instruction models: nearly greedy, with just enough
/// against repeating themselves.
struct SamplingOptions {
  std::int64_t max_new_tokens = 256;  ///< tokens, >= 1
  double temperature = 0.2;           ///< >= 0; 0 = greedy: the most likely token, always
  std::int64_t top_k = 0;             ///< keep the k most likely; 0 = all
  double top_p = 0.9;                 ///< (0, 1]: keep the most likely that together reach p
  double repetition_penalty =
      1.1;  ///< > 0; above 1 tokens already seen (prompt included) become less likely; 1 = off
  std::uint64_t seed = 42;  ///< of the draws
};

}  // namespace graft
