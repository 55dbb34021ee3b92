#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/charsmap.h"
#include "text/regex.h"
#include "text/segment.h"

namespace graft {

/// Unicode's normalization forms (standard annex 15).
enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };
/// Every character in lower case.
struct Lowercase {};
/// Takes white space away at the ends.
struct StripSpace {
  bool left = true, right = true;
};
/// Takes combining marks away.
struct StripAccents {};
/// Puts a text before every text that is not empty.
struct Prepend {
  std::string prefix;
};
/// Puts `content` where the pattern matches.
struct Replace {
  Regex pattern;
  std::string content;
};
/// Rules compiled by sentencepiece.
struct PrecompiledRules {
  std::shared_ptr<const Charsmap> rules;
};
using NormalizerStep =
    std::variant<UnicodeForm, Lowercase, StripSpace, StripAccents, Prepend, Replace, PrecompiledRules>;

/// What is done to text before it is cut into words. Source: tokenizers, normalizers/*.rs.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}
  bool empty() const { return steps_.empty(); }

  /// `text`, which starts at byte `base` of the original, normalized, with the original bytes behind each
  /// byte as Hugging Face's tokenizers count them: a composed character stands for the first of its parts
  /// only. `text` must outlive the result.
  std::unique_ptr<Segment> apply(std::string_view text, std::size_t base, Regex::Scratch& scratch) const;

 private:
  std::vector<NormalizerStep> steps_;
};

}  // namespace graft
