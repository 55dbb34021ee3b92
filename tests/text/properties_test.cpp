#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "base/text.h"
#include "text/fixture.h"
#include "text/pre_kind.h"

namespace graft {
namespace {

// Characters of every kind, dense where pre-tokenizers and normalizers decide.
rc::Gen<std::string> any_text() {
  const auto character = rc::gen::oneOf(
      rc::gen::inRange<std::uint32_t>(0x20, 0x7F),
      rc::gen::elementOf(std::vector<std::uint32_t>{9, 10, 13, 32, 0xA0, 0x180E}),
      rc::gen::inRange<std::uint32_t>(0, 0x3000), rc::gen::inRange<std::uint32_t>(0x300, 0x370),
      rc::gen::inRange<std::uint32_t>(0x3000, 0xD800), rc::gen::inRange<std::uint32_t>(0xE000, 0x110000));
  return rc::gen::map(rc::gen::container<std::vector<std::uint32_t>>(character), [](const auto& characters) {
    std::string text;
    for (const std::uint32_t c : characters) append_utf8(text, c);
    return text;
  });
}

rc::Gen<std::string> text_with_special_tokens() {
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(
                          rc::gen::oneOf(any_text(), rc::gen::elementOf(std::vector<std::string>{
                                                         "<|im_end|>", "<|im_start|>", " the", "<|"}))),
                      [](const std::vector<std::string>& parts) { return join(parts, ""); });
}

// RFC 4648, section 4.
std::string base64(const std::string& bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t value = 0;
    for (std::size_t k = 0; k < 3; ++k)
      value = value << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) text += k <= count ? kDigits[value >> (18 - 6 * k) & 63U] : '=';
  }
  return text;
}

bool holds(const std::function<void()>& property) { return rc::check(property); }

TEST(Properties, DecodingAnEncodedTextGivesTheText) {
  for (const char* name : {"gpt2", "llama3"}) {
    const Tokenizer tokenizer = load_tokenizer(golden(name));
    EXPECT_TRUE(holds([&] {
      const std::string text = *text_with_special_tokens();
      RC_ASSERT(tokenizer.decode(tokenizer.encode(text, SpecialTokens::kNone).ids, true) == text);
    }));
  }
}

// All bytes and some tokens of several, in words as Mistral cuts them.
Tokenizer small_tekken() {
  Json vocab = Json::array();
  const auto put = [&](const std::string& bytes) {
    vocab.push_back({{"rank", vocab.size()}, {"token_bytes", base64(bytes)}});
  };
  for (int b = 0; b < 256; ++b) put(std::string(1, static_cast<char>(b)));
  for (const char* token : {"th", "the", " the", "\xE4\xBD", "\xE4\xBD\xA0", "\xF0\x9F", "  ", "\n\n"})
    put(token);
  const Json file = {{"config",
                      {{"pattern", find_pre_kind("tekken", "test").splits[0]},
                       {"default_vocab_size", vocab.size() + 20},
                       {"default_num_special_tokens", 20}}},
                     {"vocab", vocab}};
  auto pipeline = std::make_shared<Tokenizer::Pipeline>();
  read_tekken_json(JsonView(file, "tekken.json"), *pipeline);
  return Tokenizer(pipeline);
}

// Every kind of tokenizer that graft loads.
std::vector<std::pair<std::string, Tokenizer>> all_kinds() {
  std::vector<std::pair<std::string, Tokenizer>> kinds;
  for (const char* name : {"gpt2", "llama3", "qwen2", "bpe", "bpe_plain", "unigram", "unigram_bytes"})
    kinds.emplace_back(name, load_tokenizer(golden(name)));
  const Json bases = read_json(golden("tokenizers.json"))["bases"];
  for (const auto& [name, base] : bases.items()) kinds.emplace_back(name, tokenizer_of(base));
  kinds.emplace_back("tekken", small_tekken());
  return kinds;
}

TEST(Properties, DecodingAnEncodedTextOfTekkenGivesTheText) {
  const Tokenizer tokenizer = small_tekken();
  EXPECT_TRUE(holds([&] {
    const std::string text = *any_text();
    const Encoding encoding = tokenizer.encode(text, SpecialTokens::kNone);
    RC_ASSERT(tokenizer.decode(encoding.ids, true) == text);
  }));
}

// Byte pieces give any character back; spaces are marks in between, so a mark comes back as a space.
TEST(Properties, DecodingAnEncodedTextOfSentencepieceWithBytesGivesTheText) {
  const Tokenizer tokenizer = load_tokenizer(golden("bpe"));
  EXPECT_TRUE(holds([&] {
    std::string text = *any_text();
    for (std::size_t at; (at = text.find("\u2581")) != std::string::npos;) text.replace(at, 3, "_");
    RC_PRE(text.find('\0') == std::string::npos);
    RC_ASSERT(tokenizer.decode(tokenizer.encode(text, SpecialTokens::kNone).ids, true) == text);
  }));
}

TEST(Properties, StreamedTextIsTheDecodedTextForEveryKind) {
  for (const auto& [name, tokenizer] : all_kinds()) {
    SCOPED_TRACE(name);
    EXPECT_TRUE(holds([&] {
      const auto ids =
          *rc::gen::container<std::vector<std::int32_t>>(rc::gen::inRange(0, tokenizer.vocab_size()));
      StreamDecoder stream(tokenizer);
      std::string text;
      for (const std::int32_t id : ids) {
        text += stream.put(id);
        RC_ASSERT(!find_invalid_utf8(text));
      }
      RC_ASSERT(text + stream.finish() == tokenizer.decode(ids));
    }));
  }
}

TEST(Properties, StreamedTextOfAnEncodedTextIsTheDecodedTextForEveryKind) {
  for (const auto& [name, tokenizer] : all_kinds()) {
    SCOPED_TRACE(name);
    EXPECT_TRUE(holds([&] {
      const auto ids = tokenizer.encode(*text_with_special_tokens(), SpecialTokens::kAdd).ids;
      StreamDecoder stream(tokenizer);
      std::string text;
      for (const std::int32_t id : ids) text += stream.put(id);
      RC_ASSERT(text + stream.finish() == tokenizer.decode(ids));
    }));
  }
}

TEST(Properties, IdsAndOffsetsOfEveryKindAreInRangeAndInOrder) {
  for (const auto& [name, tokenizer] : all_kinds()) {
    SCOPED_TRACE(name);
    EXPECT_TRUE(holds([&] {
      const std::string text = *text_with_special_tokens();
      const Encoding encoding = tokenizer.encode(text, SpecialTokens::kNone);
      RC_ASSERT(encoding.ids.size() == encoding.offsets.size());
      std::size_t begin = 0;
      for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
        const ByteSpan span = encoding.offsets[i];
        RC_ASSERT(encoding.ids[i] >= 0 && encoding.ids[i] < tokenizer.vocab_size());
        RC_ASSERT(span.begin >= begin && span.begin <= span.end && span.end <= text.size());
        begin = span.begin;
      }
    }));
  }
}

// Where the character starts that ends at `end`.
std::size_t last_character(std::string_view text, std::size_t end) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < end; i += code_point_at(text, i).length) begin = i;
  return begin;
}

// Without trimmed offsets every byte belongs to a token, and only tokens inside one character overlap.
TEST(Properties, OffsetsTileTheText) {
  const Tokenizer llama3 = load_tokenizer(golden("llama3")), tekken = small_tekken();
  EXPECT_TRUE(holds([&] {
    const std::string text = *text_with_special_tokens();
    const Tokenizer& tokenizer = *rc::gen::arbitrary<bool>() ? llama3 : tekken;
    std::size_t end = 0;
    for (const ByteSpan& span : tokenizer.encode(text, SpecialTokens::kNone).offsets) {
      RC_ASSERT(span.begin < span.end);
      RC_ASSERT(span.begin == end || (span.begin == last_character(text, end) && span.end >= end));
      end = span.end;
    }
    RC_ASSERT(end == text.size());
  }));
}

}  // namespace
}  // namespace graft
