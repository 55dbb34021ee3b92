#include "generate/generation_config.h"

#include <array>
#include <filesystem>
#include <string>

#include "base/console.h"
#include "base/error.h"
#include "base/json.h"

namespace graft {
namespace {

// transformers' defaults. Source: GenerationConfig._get_default_generation_params.
constexpr std::int64_t kTopK = 50;

/// Keys that change what is written, and the value at which they do nothing (beside null).
struct Neutral {
  const char* key;
  double value;
};
constexpr std::array kNotHonoured = {Neutral{"num_beams", 1},
                                     Neutral{"typical_p", 1},
                                     Neutral{"epsilon_cutoff", 0},
                                     Neutral{"eta_cutoff", 0},
                                     Neutral{"no_repeat_ngram_size", 0},
                                     Neutral{"guidance_scale", 1},
                                     Neutral{"min_new_tokens", 0},
                                     Neutral{"penalty_alpha", 0},
                                     Neutral{"top_h", 1}};

void warn_not_honoured(const JsonView& config) {
  for (const auto& [key, neutral] : kNotHonoured) {
    const auto value = config.find(key);
    if (value && !(value->is_number() && value->as_double() == neutral))
      warn(value->where() + ": is not honoured");
  }
  for (const char* key : {"bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias"})
    if (const auto value = config.find(key)) warn(value->where() + ": is not honoured");
}

}  // namespace

SamplingChanges read_generation_config(const Path& base) {
  const Path path = base / "generation_config.json";
  check(std::filesystem::exists(path), ExitCode::kUsage, base.string(), ": has no generation_config.json",
        Hint{"leave --generation-config out, and say --temperature, --top-p, … yourself"});
  const Json document = read_json(path);
  const JsonView config(document, path.string());
  const auto number = [&](const char* key, double otherwise) {
    const auto value = config.find(key);
    return value ? value->as_double() : otherwise;
  };
  SamplingChanges changes;
  const auto sampled = config.find("do_sample"), top_k = config.find("top_k");
  const bool greedy = !sampled || !sampled->as_bool();
  changes.temperature = greedy ? 0.0 : number("temperature", 1.0);
  changes.top_k = top_k ? top_k->as_int() : kTopK;
  changes.top_p = number("top_p", 1.0);
  changes.min_p = number("min_p", 0.0);
  changes.repetition_penalty = number("repetition_penalty", 1.0);
  if (const auto tokens = config.find("max_new_tokens")) changes.max_new_tokens = tokens->as_int();
  if (const auto stop = config.find("stop_strings")) {
    if (stop->is_string())
      changes.stop.push_back(stop->as_string());
    else
      stop->each_element([&](const JsonView& text) { changes.stop.push_back(text.as_string()); });
  }
  warn_not_honoured(config);
  return changes;
}

}  // namespace graft
