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

enum class Start { kLeavesBase, kPissa, kOlora, kUntold, kUnknown };

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
  const bool untold =
      word.starts_with(kPissaRounds) || word.starts_with("corda") || word == "loftq" || word == "lora_ga";
  return untold ? Start::kUntold : Start::kUnknown;
}

// The word, where there is one: true, false and null leave the base alone.
std::optional<JsonView> word_of(const JsonView& config) {
  const auto init = config.find("init_lora_weights");
  return !init || init->is_boolean() ? std::nullopt : init;
}

const char* why_untold(const std::string& word) {
  if (word.starts_with(kPissaRounds))
    return "what was taken out of the base was drawn at random, and PEFT draws it anew";
  if (word == "loftq") return "it belongs to a base that was quantised together with it";
  return "what was taken out of the base came from data";
}

}  // namespace

bool changes_base(const JsonView& config) {
  const auto word = word_of(config);
  return word && word->is_string() && start_of(word->as_string()) != Start::kLeavesBase;
}

LoraInit read_saved_init(const JsonView& config) {
  const auto init = word_of(config);
  if (!init) return LoraInit::kKaiming;
  const std::string& word = init->as_string();
  const Start start = start_of(word);
  check(start != Start::kUnknown, init->where(), ": an initialisation that is not known here (got \"",
        printable(word), "\")", Hint{kPlainSave});
  check(start != Start::kUntold, init->where(), ": \"", printable(word), "\": ", why_untold(word),
        ": not supported",
        Hint{word == "loftq" ? kChangedBase : kPlainSave + std::string("; or, ") + kChangedBase});
  if (start == Start::kPissa) return LoraInit::kPissa;
  return start == Start::kOlora ? LoraInit::kOlora : LoraInit::kKaiming;
}

}  // namespace graft
