#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "text/regex.h"
#include "text/segment.h"

namespace graft {

/// What becomes of the matches of a Split. Source: tokenizers, SplitDelimiterBehavior.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// Cuts at the matches of a pattern; with `inverted` at what lies between them.
struct SplitStep {
  Regex pattern;
  SplitBehavior behavior;
  bool inverted = false;
};

/// Cuts out digits (every character that Unicode calls a number), one by one or in runs.
struct DigitsStep {
  bool individual = false;
};

/// The last step: GPT-2's pattern if there is one, after a space put before words that lack one where asked.
struct ByteLevelStep {
  std::optional<Regex> pattern;
  bool add_prefix_space = false;
};

/// Which words get a prefix.
enum class PrependScheme {
  kAlways,
  kFirst,  ///< only what starts where the whole text starts
  kNever,
};

/// Writes `replacement` for each space and, as asked, before each word that does not start with it; then cuts
/// before each of them. Source: tokenizers, pre_tokenizers/metaspace.rs.
struct MetaspaceStep {
  std::string replacement;
  PrependScheme prepend = PrependScheme::kAlways;
  bool split = true;
};

using PreTokenizerStep = std::variant<SplitStep, DigitsStep, MetaspaceStep, ByteLevelStep>;

/// GPT-2's pattern, which ByteLevel uses.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// The words of a text.
struct Words {
  std::vector<ByteSpan> ranges;  ///< in order, none empty
  std::unique_ptr<Segment>
      changed;  ///< the segment that `ranges` refer to where a step changed the text; else null
};

/// Cuts text into the words that are merged separately.
class PreTokenizer {
 public:
  explicit PreTokenizer(std::vector<PreTokenizerStep> steps) : steps_(std::move(steps)) {}

  /// The words of `range` (not empty) of the segment.
  Words split(const Segment& segment, ByteSpan range, Regex::Scratch& scratch) const;

 private:
  std::vector<PreTokenizerStep> steps_;
};

}  // namespace graft
