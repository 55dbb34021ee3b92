#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace graft {

/// How the next token is chosen; applied in the order of Hugging Face's generate: repetition penalty,
/// temperature, top-k, top-p, min-p. The defaults are the same for every base and suit small instruction
/// models: nearly greedy, with just enough against repeating themselves.
struct SamplingOptions {
  std::int64_t max_new_tokens = 256;  ///< tokens, >= 1
  double temperature = 0.2;           ///< >= 0; 0 = greedy: the most likely token, always
  std::int64_t top_k = 0;             ///< keep the k most likely and what equals the last of them; 0 = all
  double top_p = 0.9;                 ///< (0, 1]: keep the most likely that together reach p
  double min_p = 0.0;                 ///< [0, 1]: keep what is at least so likely, as a part of the likeliest
  double repetition_penalty =
      1.1;  ///< > 0; above 1 tokens already seen (prompt included) become less likely; 1 = off
  std::uint64_t seed = 42;             ///< of the draws
  std::vector<std::string> stop = {};  ///< the answer ends before the first of these texts; none is empty
};

/// What a command line, a row of prompts or a generation_config.json says; what it leaves out stays as it is.
struct SamplingChanges {
  std::optional<std::int64_t> max_new_tokens, top_k;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop = {};  ///< added to those there are

  SamplingOptions applied_to(SamplingOptions options) const {
    const auto put = [](const auto& change, auto& value) {
      if (change) value = *change;
    };
    put(max_new_tokens, options.max_new_tokens);
    put(temperature, options.temperature);
    put(top_k, options.top_k);
    put(top_p, options.top_p);
    put(min_p, options.min_p);
    put(repetition_penalty, options.repetition_penalty);
    put(seed, options.seed);
    options.stop.insert(options.stop.end(), stop.begin(), stop.end());
    return options;
  }
};

}  // namespace graft
