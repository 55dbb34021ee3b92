#include "peft/saved_init.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace graft {
namespace {

constexpr std::string_view kPissaRounds = "pissa_niter_";
constexpr char kPlainSave[] =
    "save the adapter from PEFT with path_initial_model_for_weight_conversion, which makes a plain LoRA of "
    "it";
constexpr char kChangedBase[] =
    "with the base as training left it, saved from PEFT by model.unload(), set init_lora_weights to true";

enum class Start { kLeavesBase, kPissa, kOlora, kLost, kQuantized, kUnknown };

std::string lower(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::tolower(c); });
  return word;
}

// As PEFT looks at it, in upper or lower case where it does not mind.
Start start_of(const std::string& word) {
  const std::string small = lower(word);
  if (small == "gaussian" || small == "mica" || word == "eva" || word == "orthogonal")
    return Start::kLeavesBase;
  if (small == "olora") return Start::kOlora;
  if (word == "pissa") return Start::kPissa;
  if (word == "loftq") return Start::kQuantized;
  const bool lost = word.starts_with(kPissaRounds) || word.starts_with("corda") || word == "lora_ga";
  return lost ? Start::kLost : Start::kUnknown;
}

// The word, where there is one: true, false and null leave the base alone.
std::optional<JsonView> word_of(const JsonView& config) {
  const auto init = config.find("init_lora_weights");
  return !init || init->is_boolean() ? std::nullopt : init;
}

// Fails for what neither the file nor the base tells.
void check_told(const JsonView& init, const std::string& word, Start start) {
  const std::string quoted = ": \"" + printable(word) + "\": ";
  check(start != Start::kUnknown, init.where(), quoted, "an initialisation that is not known here",
        Hint{kPlainSave});
  check(start != Start::kQuantized, init.where(), quoted,
        "it belongs to a base that was quantised together with it: not supported", Hint{kChangedBase});
  check(start != Start::kLost, init.where(), quoted, "what was taken out of the base ",
        word.starts_with(kPissaRounds) ? "was drawn at random, and PEFT draws it anew" : "came from data",
        ": not supported", Hint{kPlainSave + std::string("; or, ") + kChangedBase});
}

}  // namespace

bool changes_base(const JsonView& config) {
  const auto word = word_of(config);
  return word && word->is_string() && start_of(word->as_string()) != Start::kLeavesBase;
}

bool start_is_lost(const JsonView& config) {
  const auto word = word_of(config);
  return word && word->is_string() && start_of(word->as_string()) == Start::kLost;
}

LoraInit read_saved_init(const JsonView& config) {
  const auto init = word_of(config);
  if (!init) return LoraInit::kKaiming;
  const std::string& word = init->as_string();
  const Start start = start_of(word);
  check_told(*init, word, start);
  if (start == Start::kPissa) return LoraInit::kPissa;
  return start == Start::kOlora ? LoraInit::kOlora : LoraInit::kKaiming;
}

}  // namespace graft
