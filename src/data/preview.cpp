#include "data/preview.h"

#include <string_view>

#include "base/text.h"

namespace graft {
namespace {

constexpr std::string_view kGreen = "\x1B[32m", kDim = "\x1B[2m", kReset = "\x1B[0m";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// Valid UTF-8 without control bytes: what is broken (half a character at a border) becomes U+FFFD.
std::string visible(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const std::string_view valid = bytes.substr(0, find_invalid_utf8(bytes).value_or(bytes.size()));
    for (const char c : valid) {
      const auto byte = static_cast<unsigned char>(c);
      const bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F;
      text += control ? printable(std::string_view(&c, 1)) : std::string(1, c);
    }
    bytes.remove_prefix(valid.size());
    if (bytes.empty()) break;
    text += kReplacement;
    bytes.remove_prefix(1);
    while (!bytes.empty() && (static_cast<unsigned char>(bytes.front()) & 0xC0U) == 0x80U)
      bytes.remove_prefix(1);
  }
  return text;
}

std::string marked(std::string_view bytes, bool learned, PreviewMarks marks) {
  const std::string text = visible(bytes);
  if (marks == PreviewMarks::kBrackets) return learned ? "[[" + text + "]]" : text;
  return std::string(learned ? kGreen : kDim) + text + std::string(kReset);
}

}  // namespace

std::vector<std::int32_t> labels_of(const Example& example) {
  std::vector<std::int32_t> labels;
  labels.reserve(example.tokens.size());
  const auto label = [](std::int32_t target) { return target == kNoTarget ? kIgnoreLabel : target; };
  labels.push_back(label(example.first_label));
  for (std::size_t i = 0; i + 1 < example.targets.size(); ++i) labels.push_back(label(example.targets[i]));
  return labels;
}

Json preview_json(const Example& example) {
  Json json = Json::object();
  json["source"] = example.source.text();
  json["input_ids"] = example.tokens;
  json["labels"] = labels_of(example);
  return json;
}

std::string preview_text(const Example& example, const Tokenizer& tokenizer, PreviewMarks marks) {
  std::string text, run;
  bool run_learned = false;
  const auto flush = [&] {
    if (!run.empty()) text += marked(run, run_learned, marks);
    run.clear();
  };
  for (std::size_t i = 0; i < example.tokens.size(); ++i) {
    // The first token is never learned, whatever its label says: nothing precedes it.
    const bool learned = i > 0 && example.targets[i - 1] != kNoTarget;
    if (learned != run_learned) flush();
    run_learned = learned;
    const bool known = example.tokens[i] < tokenizer.vocab_size();
    run += known ? tokenizer.bytes(example.tokens[i]) : "<" + std::to_string(example.tokens[i]) + ">";
  }
  flush();
  return text;
}

}  // namespace graft
