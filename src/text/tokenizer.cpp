#include "text/tokenizer.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/text.h"
#include "store/gguf.h"
#include "text/pipeline.h"

namespace graft {
namespace {

// One text on its way through the pipeline.
class Encoder {
 public:
  explicit Encoder(const Tokenizer::Pipeline& pipeline) : pipeline_(pipeline) {}

  Encoding run(std::string_view text) {
    for (const auto& part : pipeline_.raw_tokens.split(text, scratch_)) {
      if (part.id)
        put(*part.id, part.range);
      else
        encode_plain(text.substr(part.range.begin, part.range.end - part.range.begin), part.range.begin);
    }
    return std::move(encoding_);
  }

 private:
  void put(std::int32_t id, ByteSpan bytes) {
    encoding_.ids.push_back(id);
    encoding_.offsets.push_back(bytes);
  }

  // Text without raw added tokens, at byte `base` of the whole.
  void encode_plain(std::string_view text, std::size_t base) {
    if (pipeline_.sentencepiece) return encode_sentencepiece(text, base);
    const auto segment = pipeline_.normalizer.apply(text, base, scratch_);
    for (const auto& part : pipeline_.normalized_tokens.split(segment->text(), scratch_)) {
      if (part.id) {
        put(*part.id, segment->original(part.range));
        continue;
      }
      const Words words = pipeline_.pre_tokenizer.split(*segment, part.range, scratch_);
      for (const ByteSpan& word : words.ranges) encode_word(words.changed ? *words.changed : *segment, word);
    }
  }

  void encode_sentencepiece(std::string_view text, std::size_t base) {
    const bool prefixed = pipeline_.prefix == PrependScheme::kAlways ||
                          (pipeline_.prefix == PrependScheme::kFirst && base == 0);
    pieces_.clear();
    pipeline_.sentencepiece->encode(text, prefixed ? DummyPrefix::kAdd : DummyPrefix::kNone, pieces_);
    for (const Piece& piece : pieces_) put(piece.id, {base + piece.range.begin, base + piece.range.end});
  }

  void encode_word(const Segment& segment, ByteSpan word) {
    pieces_.clear();
    pipeline_.model->encode(segment.text(word), pieces_);
    for (const Piece& piece : pieces_)
      put(piece.id, segment.original({word.begin + piece.range.begin, word.begin + piece.range.end}));
  }

  const Tokenizer::Pipeline& pipeline_;
  Regex::Scratch scratch_;
  std::vector<Piece> pieces_;
  Encoding encoding_;
};

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const Pipeline> pipeline) : pipeline_(std::move(pipeline)) {}

Encoding Tokenizer::encode(std::string_view text, SpecialTokens special) const {
  if (const auto invalid = find_invalid_utf8(text))
    fail("the text is not valid UTF-8 (at byte ", *invalid, ")");
  Encoding encoding = Encoder(*pipeline_).run(text);
  post_process(pipeline_->post_processor, text, pipeline_->vocabulary, special, encoding);
  return encoding;
}

std::string Tokenizer::decode(const std::vector<std::int32_t>& ids, bool keep_special) const {
  const TokenDecoder& decoder = pipeline_->decoder;
  TokenDecoder::Stream stream = decoder.start();
  std::string text;
  for (const std::int32_t id : ids) {
    const std::string& spelling = token(id);
    if (keep_special || !is_special(id)) text += decoder.put(stream, spelling, pipeline_->text_kind(id));
  }
  return text + decoder.finish(stream);
}

std::string Tokenizer::bytes(std::int32_t id) const {
  const std::string& spelling = token(id);
  return pipeline_->decoder.bytes(spelling, pipeline_->text_kind(id));
}

const std::string& Tokenizer::token(std::int32_t id) const {
  check(pipeline_->vocabulary.has(id), "token id ", id, " is not in the tokenizer's vocabulary (0 to ",
        vocab_size() - 1, ")");
  return pipeline_->vocabulary.spelling(id);
}

std::optional<std::int32_t> Tokenizer::id(std::string_view token) const {
  return pipeline_->vocabulary.find(token);
}

bool Tokenizer::is_special(std::int32_t id) const {
  return pipeline_->vocabulary.has(id) && pipeline_->vocabulary.kind(id) == TokenKind::kSpecial;
}

std::int32_t Tokenizer::vocab_size() const { return pipeline_->vocabulary.size(); }
std::optional<std::int32_t> Tokenizer::bos() const { return pipeline_->bos; }
std::optional<std::int32_t> Tokenizer::eos() const { return pipeline_->eos; }
std::optional<std::int32_t> Tokenizer::pad() const { return pipeline_->pad; }

std::optional<std::string> Tokenizer::chat_template() const {
  const auto found = std::ranges::find(chat_templates(), "default", &NamedChatTemplate::name);
  return found == chat_templates().end() ? std::nullopt : std::optional(found->source);
}

const std::vector<NamedChatTemplate>& Tokenizer::chat_templates() const { return pipeline_->chat_templates; }

const std::vector<std::pair<std::string, std::string>>& Tokenizer::special_tokens() const {
  return pipeline_->special_tokens;
}

Tokenizer load_tokenizer(const Path& base) {
  if (std::filesystem::is_directory(base)) return Tokenizer(load_tokenizer_folder(base));
  check(is_gguf(base), base.string(), ": is neither a Hugging Face folder nor a GGUF file");
  return Tokenizer(load_tokenizer_gguf(base));
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), stream_(tokenizer.pipeline_->decoder.start()) {}

std::string StreamDecoder::put(std::int32_t id) {
  const std::string& token = tokenizer_.token(id);
  if (tokenizer_.is_special(id)) return {};
  return tokenizer_.pipeline_->decoder.put(stream_, token, tokenizer_.pipeline_->text_kind(id));
}

std::string StreamDecoder::finish() { return tokenizer_.pipeline_->decoder.finish(stream_); }

}  // namespace graft
