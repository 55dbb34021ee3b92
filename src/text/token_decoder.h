#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace graft {

/// How a token that came out of text is written.
enum class TokenText {
  kSpelled,   ///< as the model spells it
  kVerbatim,  ///< as it stands: an added token
};

/// Spellings in GPT-2's alphabet become bytes, invalid ones U+FFFD. Always alone.
struct DecodeByteLevel {};
/// What sentencepiece does: U+2581 becomes a space, "<0xNN>" a byte, bytes of no character U+FFFD. Always
/// alone.
struct DecodeSentencepiece {
  bool bytes = false;          ///< whether there are byte pieces
  bool strip_prefix = false;   ///< the space that was put before the text is taken away
  bool strip_leading = false;  ///< so is that of every piece before the first that has text
};
/// Each token: what equals `pattern` becomes `content`.
struct DecodeReplace {
  std::string pattern, content;
};
/// A run of "<0xNN>" tokens becomes their bytes; where they are not UTF-8, U+FFFD for each.
struct DecodeBytes {};
/// All tokens become one.
struct DecodeFuse {};
/// Each token: up to `start` times `content` less at its start, `stop` times at its end.
struct DecodeStrip {
  std::string content;  ///< one character
  std::size_t start = 0, stop = 0;
};
/// `replacement` becomes a space; in the first token it vanishes where encoding puts one there.
struct DecodeMetaspace {
  std::string replacement;
  bool prefixed = true;
};
/// A space between tokens: what tokenizers does where a file names no decoder.
struct DecodeSpaces {};

using DecoderStep = std::variant<DecodeByteLevel, DecodeSentencepiece, DecodeReplace, DecodeBytes, DecodeFuse,
                                 DecodeStrip, DecodeMetaspace, DecodeSpaces>;

/// Turns spellings of tokens into text, one by one: what put() and finish() return, joined, is what
/// Hugging Face's decoders make of the whole list. Sources: tokenizers, decoders/*.rs; sentencepiece,
/// sentencepiece_processor.cc, Decode.
class TokenDecoder {
 public:
  /// A text on its way.
  struct Stream {
    struct Step {
      std::string held;       // bytes that may still become a character, text that may still be stripped
      std::size_t count = 0;  // tokens seen, or characters stripped so far
      bool begun = false;     // past what may be stripped at the start
    };
    std::vector<Step> steps;
  };

  TokenDecoder() = default;
  explicit TokenDecoder(std::vector<DecoderStep> steps) : steps_(std::move(steps)) {}

  Stream start() const { return {std::vector<Stream::Step>(steps_.size())}; }
  /// What became text by this token.
  std::string put(Stream& stream, std::string_view token, TokenText kind) const;
  /// What is left at the end; the stream is as new then.
  std::string finish(Stream& stream) const;
  /// The bytes that one token stands for inside a text (may be part of a character).
  std::string bytes(std::string_view token, TokenText kind) const;

 private:
  class Runner;
  std::vector<DecoderStep> steps_;
};

}  // namespace graft
