#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/json.h"

namespace graft {

/// What a key of adapter_config.json is to a loaded adapter.
enum class KeyVerdict {
  kRead,      ///< honoured
  kNoEffect,  ///< changes no number of it, whatever the value: training, bookkeeping
  kRefused,   ///< on, it means mathematics that graft does not have
};

/// One key that PEFT writes, or wrote once.
struct ConfigKey {
  const char* key;
  KeyVerdict verdict = KeyVerdict::kRead;
  const char* meaning = "";    ///< kRefused: what it would change
  const char* remedy = "";     ///< kRefused: what to do
  bool plain_factors = false;  ///< kRefused: says where B A is added; tools on files may work on A and B
};

/// Every field of LoraConfig, VeraConfig and IA3Config of huggingface/peft 0.21, those of older releases, and
/// those of forks whose files look alike.
std::span<const ConfigKey> config_keys();

/// The document of adapter_config.json. Errors: read_json's; a git-LFS pointer.
Json read_config_document(const Path& path);

/// peft_type. Errors: missing (what the file looks like instead), no string, one that PEFT writes otherwise.
std::string peft_type_of(const JsonView& config);

/// Error for a key that is on and means other mathematics: names it, what it changes and what to do. With a
/// `verb`, of a tool on files: but for those with plain factors.
void refuse_other_mathematics(const JsonView& config, const std::string& verb = "");

/// A warning for each key that no release of PEFT knows, and for fan_in_fan_out, which is off for linears.
void warn_idle_keys(const JsonView& config);

/// The value, for as_int or as_double. Error: a number in quotes.
const JsonView& unquoted(const JsonView& value);

/// PEFT's r, lora_alpha where a config has none.
inline constexpr std::int64_t kPeftRank = 8;
inline constexpr double kPeftAlpha = 8.0;
/// Error where r or lora_alpha is null: PEFT refuses that too, and no default is meant.
void refuse_null_scale(const JsonView& config);
/// "; adapter_config.json has no r, and PEFT takes 8" where it has none, else nothing.
std::string absent_rank_text(const JsonView& config);

}  // namespace graft
