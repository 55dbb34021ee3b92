#include "base/error.h"
#include "base/text.h"
#include "text/tokenizer_json.h"

namespace graft {
namespace {

bool read_flag(const JsonView& view, std::string_view key, bool otherwise) {
  const auto member = view.find(key);
  return member ? member->as_bool() : otherwise;
}

// A literal as a pattern.
std::string escaped(std::string_view literal) {
  std::string pattern;
  for (const char c : literal) {
    if (std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

SplitBehavior read_behavior(const JsonView& view) {
  const std::string& name = view.as_string();
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  fail(view.where(), ": unknown behavior `", printable(name), "`",
       Hint{"known: Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous"});
}

SplitStep read_split(const JsonView& view) {
  const JsonView pattern = view.at("pattern");
  const auto regex = pattern.find("Regex");
  const std::string source = regex ? regex->as_string() : escaped(pattern.at("String").as_string());
  check(!source.empty(), pattern.where(), ": an empty pattern");
  return {Regex(source, pattern.where()), read_behavior(view.at("behavior")),
          read_flag(view, "invert", false)};
}

ByteLevelStep read_byte_level(const JsonView& view) {
  ByteLevelStep step{std::nullopt, read_flag(view, "add_prefix_space", true)};
  if (read_flag(view, "use_regex", true)) step.pattern = Regex(kGpt2Pattern, view.where());
  return step;
}

void append_steps(const JsonView& view, std::vector<PreTokenizerStep>& steps) {
  const std::string& type = view.at("type").as_string();
  if (type == "Sequence") {
    view.at("pretokenizers").each_element([&](const JsonView& part) { append_steps(part, steps); });
    return;
  }
  check(steps.empty() || !std::holds_alternative<ByteLevelStep>(steps.back()), view.where(),
        ": the pre-tokenizer ", printable(type), " after ByteLevel is not supported");
  if (type == "ByteLevel")
    steps.emplace_back(read_byte_level(view));
  else if (type == "Digits")
    steps.emplace_back(DigitsStep{read_flag(view, "individual_digits", false)});
  else if (type == "Split")
    steps.emplace_back(read_split(view));
  else
    fail(view.where(), ": the pre-tokenizer ", printable(type), " is not supported yet",
         Hint{"supported: ByteLevel, Digits, Split, Sequence"});
}

std::int32_t known_id(const JsonView& view, const Vocabulary& vocabulary) {
  const std::int64_t id = view.as_int();
  check(vocabulary.has(id), view.where(), ": no token has id ", id);
  return static_cast<std::int32_t>(id);
}

SurroundingTokens read_template(const JsonView& view, const Vocabulary& vocabulary) {
  SurroundingTokens tokens;
  bool text_seen = false;
  const JsonView single = view.at("single");
  single.each_element([&](const JsonView& part) {
    if (const auto sequence = part.find("Sequence")) {
      check(!text_seen && sequence->at("id").as_string() == "A", part.where(), ": want the sequence A, once");
      text_seen = true;
      return;
    }
    const JsonView name = part.at("SpecialToken").at("id");
    const JsonView ids = view.at("special_tokens").at(name.as_string()).at("ids");
    ids.each_element([&](const JsonView& id) {
      (text_seen ? tokens.after : tokens.before).push_back(known_id(id, vocabulary));
    });
  });
  check(text_seen, single.where(), ": the text itself ($A) is missing");
  return tokens;
}

void append_post_steps(const JsonView& view, const Vocabulary& vocabulary,
                       std::vector<PostProcessorStep>& steps) {
  const std::string& type = view.at("type").as_string();
  if (type == "Sequence") {
    view.at("processors").each_element([&](const JsonView& part) {
      append_post_steps(part, vocabulary, steps);
    });
  } else if (type == "ByteLevel") {
    if (read_flag(view, "trim_offsets", true))
      steps.emplace_back(TrimOffsets{read_flag(view, "add_prefix_space", true)});
  } else if (type == "TemplateProcessing") {
    steps.emplace_back(read_template(view, vocabulary));
  } else {
    fail(view.where(), ": the post-processor ", printable(type), " is not supported yet",
         Hint{"supported: TemplateProcessing, ByteLevel, Sequence"});
  }
}

}  // namespace

std::vector<PreTokenizerStep> read_pre_tokenizer(const JsonView& view) {
  check(view.is_object(), view.where(), ": want a pre-tokenizer that ends in ByteLevel",
        Hint{"supported: byte-level BPE"});
  std::vector<PreTokenizerStep> steps;
  append_steps(view, steps);
  check(!steps.empty() && std::holds_alternative<ByteLevelStep>(steps.back()), view.where(),
        ": does not end in ByteLevel", Hint{"supported: byte-level BPE"});
  return steps;
}

std::vector<PostProcessorStep> read_post_processor(const JsonView& view, const Vocabulary& vocabulary) {
  std::vector<PostProcessorStep> steps;
  append_post_steps(view, vocabulary, steps);
  return steps;
}

}  // namespace graft
