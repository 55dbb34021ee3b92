#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "text/token_decoder.h"

namespace graft {

/// A half-open range of bytes of a text.
struct ByteSpan {
  std::size_t begin = 0, end = 0;
  bool operator==(const ByteSpan&) const = default;
};

/// Token ids and, for each, the bytes of the text it came from: the character spans of Hugging Face's
/// tokenizers turned into bytes (tokens that share one character have equal spans).
struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<ByteSpan> offsets;
};

/// A Jinja chat template of a model.
struct NamedChatTemplate {
  std::string name, source;
};

/// Whether the tokenizer's own beginning and end tokens are added (its post-processor, add_bos_token), as
/// add_special_tokens does in Hugging Face's tokenizers.
enum class SpecialTokens { kAdd, kNone };

/// Text <-> token ids. Immutable and safe to share between threads.
class Tokenizer {
 public:
  struct Pipeline;  ///< added tokens, normalizer, pre-tokenizer, model, post-processor, decoder
  explicit Tokenizer(std::shared_ptr<const Pipeline> pipeline);

  /// The ids of `text` (valid UTF-8, else Error with the byte). Added tokens inside the text are parsed as
  /// Hugging Face does. Bytes for which the vocabulary has no token (SmolLM2 lacks some control characters)
  /// become its unknown token, or vanish where it has none, as there; the offsets show the gap.
  Encoding encode(std::string_view text, SpecialTokens special) const;
  /// Text of the ids, as the tokenizer's own decoder makes it. Special tokens are left out unless
  /// `keep_special`; invalid byte sequences become U+FFFD. Error where an id is not in the vocabulary.
  std::string decode(const std::vector<std::int32_t>& ids, bool keep_special = false) const;
  /// The raw bytes of one token (may be part of a character). Error where the id is out of range.
  std::string bytes(std::int32_t id) const;

  /// The vocabulary's spelling of an id ("Ġhello", "<|im_end|>").
  const std::string& token(std::int32_t id) const;
  std::optional<std::int32_t> id(std::string_view token) const;
  bool is_special(std::int32_t id) const;
  std::int32_t vocab_size() const;  ///< highest id + 1

  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  std::optional<std::int32_t> pad() const;
  /// The model's own Jinja chat template (the one named "default"), where it has one.
  std::optional<std::string> chat_template() const;
  /// All of the model's own, by name.
  const std::vector<NamedChatTemplate>& chat_templates() const;
  /// The special tokens that have a role, as chat templates name them: {"bos_token", "<s>"}.
  const std::vector<std::pair<std::string, std::string>>& special_tokens() const;

 private:
  friend class StreamDecoder;
  std::shared_ptr<const Pipeline> pipeline_;
};

/// The tokenizer of a base: a Hugging Face folder (tokenizer.json, else tekken.json, else tokenizer.model,
/// which is a sentencepiece model; tokenizer_config.json, chat_template.jinja, special_tokens_map.json) or a
/// GGUF file (byte-level BPE or sentencepiece). Errors: missing, malformed, an unsupported part (named).
Tokenizer load_tokenizer(const Path& base);

/// Turns ids that arrive one by one into text, never cutting a character: put() returns what has become
/// whole. All that it returns, joined, is what Tokenizer::decode makes of the ids.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer);
  std::string put(std::int32_t id);
  /// What is left at the end; an incomplete character becomes U+FFFD.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  TokenDecoder::Stream stream_;
};

}  // namespace graft
