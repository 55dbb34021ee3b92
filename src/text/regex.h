#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace graft {

/// A pattern of a tokenizer file, with the meaning it has in Hugging Face's tokenizers (Oniguruma, Ruby
/// syntax, Unicode), run by PCRE2 within a step limit. Letters and digits are those of PCRE2's Unicode
/// version.
class Regex {
 public:
  /// Working memory of one thread; reused between calls.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;

   private:
    friend class Regex;
    struct State;
    std::unique_ptr<State> state_;
  };

  /// `where` starts the error of a pattern that is malformed or uses syntax whose meaning differs between the
  /// engines.
  Regex(std::string_view pattern, std::string_view where);
  /// A pattern that matches `text` (not empty) and nothing else.
  static Regex literal(std::string_view text);

  /// Appends the successive matches in `text` (valid UTF-8), empty ones included, as Oniguruma's iterator
  /// gives them. Error where the pattern takes too many steps.
  void find_all(std::string_view text, Scratch& scratch, std::vector<ByteSpan>& matches) const;

 private:
  Regex() = default;
  struct Code;
  std::shared_ptr<const Code> code_;  // null: literal_ is looked for
  std::string literal_;
};

/// `pattern` in PCRE2's syntax. Error, started by `where`, where it uses syntax outside the part both engines
/// share.
std::string translate_pattern(std::string_view pattern, std::string_view where);

}  // namespace graft
