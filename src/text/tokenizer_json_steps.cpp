#include "base/error.h"
#include "base/text.h"
#include "text/tokenizer_json.h"

namespace graft {
namespace {

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
  return {read_pattern(view.at("pattern")), read_behavior(view.at("behavior")),
          flag_of(view, "invert", false)};
}

ByteLevelStep read_byte_level(const JsonView& view) {
  ByteLevelStep step{std::nullopt, flag_of(view, "add_prefix_space", true)};
  if (flag_of(view, "use_regex", true)) step.pattern = Regex(kGpt2Pattern, view.where());
  return step;
}

MetaspaceStep read_metaspace(const JsonView& view) {
  MetaspaceStep step{.replacement = read_character(view.at("replacement")),
                     .prepend = read_prepend_scheme(view),
                     .split = flag_of(view, "split", true)};
  return step;
}

// Patterns of tokenizers' own, in its regular expressions' syntax. Sources: pre_tokenizers/{whitespace,
// punctuation,bert}.rs.
constexpr std::string_view kWords = R"([\w\x{200C}\x{200D}]+|[^\w\s\x{200C}\x{200D}]+)";
constexpr std::string_view kSpace = R"(\s)";
constexpr std::string_view kPunctuation = R"([!-/:-@\[-`{-~\p{P}])";

// The step of a type that is one cut at a pattern; nothing for other types.
std::optional<SplitStep> read_simple_split(const std::string& type, const JsonView& view) {
  const auto split = [&](std::string_view pattern, SplitBehavior behavior, bool inverted) {
    return SplitStep{Regex(pattern, view.where()), behavior, inverted};
  };
  if (type == "Split") return read_split(view);
  if (type == "Whitespace") return split(kWords, SplitBehavior::kRemoved, true);
  if (type == "WhitespaceSplit") return split(kSpace, SplitBehavior::kRemoved, false);
  if (type == "CharDelimiterSplit")
    return SplitStep{Regex::literal(read_character(view.at("delimiter"))), SplitBehavior::kRemoved};
  if (type == "Punctuation") {
    const auto behavior = view.find("behavior");
    return split(kPunctuation, behavior ? read_behavior(*behavior) : SplitBehavior::kIsolated, false);
  }
  return std::nullopt;
}

void append_steps(const JsonView& view, std::vector<PreTokenizerStep>& steps) {
  const std::string& type = view.at("type").as_string();
  if (type == "Sequence") {
    view.at("pretokenizers").each_element([&](const JsonView& part) { append_steps(part, steps); });
    return;
  }
  check(steps.empty() || !std::holds_alternative<ByteLevelStep>(steps.back()), view.where(),
        ": the pre-tokenizer ", printable(type), " after ByteLevel is not supported");
  if (auto split = read_simple_split(type, view)) {
    steps.emplace_back(std::move(*split));
  } else if (type == "ByteLevel") {
    steps.emplace_back(read_byte_level(view));
  } else if (type == "Digits") {
    steps.emplace_back(DigitsStep{flag_of(view, "individual_digits", false)});
  } else if (type == "Metaspace") {
    steps.emplace_back(read_metaspace(view));
  } else if (type == "BertPreTokenizer") {
    steps.emplace_back(SplitStep{Regex(kSpace, view.where()), SplitBehavior::kRemoved});
    steps.emplace_back(SplitStep{Regex(kPunctuation, view.where()), SplitBehavior::kIsolated});
  } else {
    fail(view.where(), ": the pre-tokenizer ", printable(type), " is not supported",
         Hint{"supported: BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, Metaspace, Punctuation, "
              "Split, "
              "Whitespace, WhitespaceSplit, Sequence"});
  }
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
    if (flag_of(view, "trim_offsets", true))
      steps.emplace_back(TrimOffsets{flag_of(view, "add_prefix_space", true)});
  } else if (type == "TemplateProcessing") {
    steps.emplace_back(read_template(view, vocabulary));
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    if (type == "RobertaProcessing" && flag_of(view, "trim_offsets", true))
      steps.emplace_back(TrimOffsets{flag_of(view, "add_prefix_space", true)});
    steps.emplace_back(SurroundingTokens{{known_id(view.at("cls").at(std::size_t{1}), vocabulary)},
                                         {known_id(view.at("sep").at(std::size_t{1}), vocabulary)}});
  } else {
    fail(view.where(), ": the post-processor ", printable(type), " is not supported",
         Hint{"supported: BertProcessing, ByteLevel, RobertaProcessing, TemplateProcessing, Sequence"});
  }
}

}  // namespace

Regex read_pattern(const JsonView& view) {
  const auto regex = view.find("Regex");
  const std::string& source = regex ? regex->as_string() : view.at("String").as_string();
  check(!source.empty(), view.where(), ": an empty pattern");
  return regex ? Regex(source, view.where()) : Regex::literal(source);
}

std::string read_character(const JsonView& view) {
  const std::string& text = view.as_string();
  check(!text.empty() && code_point_at(text, 0).length == text.size(), view.where(), ": got `",
        printable(text), "`, want one character");
  return text;
}

PrependScheme read_prepend_scheme(const JsonView& view) {
  const auto scheme = view.find("prepend_scheme");
  // Older files have a flag instead.
  if (!scheme)
    return flag_of(view, "add_prefix_space", true) ? PrependScheme::kAlways : PrependScheme::kNever;
  const std::string& name = scheme->as_string();
  if (name == "always") return PrependScheme::kAlways;
  if (name == "first") return PrependScheme::kFirst;
  check(name == "never", scheme->where(), ": unknown scheme `", printable(name), "`",
        Hint{"known: always, first, never"});
  return PrependScheme::kNever;
}

std::vector<PreTokenizerStep> read_pre_tokenizer(const std::optional<JsonView>& view) {
  std::vector<PreTokenizerStep> steps;
  if (view) append_steps(*view, steps);
  return steps;
}

std::vector<PostProcessorStep> read_post_processor(const JsonView& view, const Vocabulary& vocabulary) {
  std::vector<PostProcessorStep> steps;
  append_post_steps(view, vocabulary, steps);
  return steps;
}

}  // namespace graft
