#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "base/text.h"
#include "text/fixture.h"

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

TEST(Properties, StreamedTextIsTheDecodedText) {
  const Tokenizer tokenizer = load_tokenizer(golden("gpt2"));
  EXPECT_TRUE(holds([&] {
    const auto ids =
        *rc::gen::container<std::vector<std::int32_t>>(rc::gen::inRange(0, tokenizer.vocab_size()));
    StreamDecoder stream(tokenizer);
    std::string text;
    for (const std::int32_t id : ids) text += stream.put(id);
    RC_ASSERT(text + stream.finish() == tokenizer.decode(ids));
  }));
}

// Where the character starts that ends at `end`.
std::size_t last_character(std::string_view text, std::size_t end) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < end; i += code_point_at(text, i).length) begin = i;
  return begin;
}

// Without trimmed offsets every byte belongs to a token, and only tokens inside one character overlap.
TEST(Properties, OffsetsTileTheText) {
  const Tokenizer tokenizer = load_tokenizer(golden("llama3"));
  EXPECT_TRUE(holds([&] {
    const std::string text = *text_with_special_tokens();
    std::size_t end = 0;
    for (const ByteSpan& span : tokenizer.encode(text, SpecialTokens::kNone).offsets) {
      RC_ASSERT(span.begin < span.end);
      RC_ASSERT(span.begin == end || (span.begin == last_character(text, end) && span.end >= end));
      end = span.end;
    }
    RC_ASSERT(end == text.size());
  }));
}

TEST(Properties, NormalizedTextHasOrderedOffsetsInsideTheText) {
  const Tokenizer tokenizer = load_tokenizer(golden("qwen2"));
  EXPECT_TRUE(holds([&] {
    const std::string text = *any_text();
    std::size_t begin = 0;
    for (const ByteSpan& span : tokenizer.encode(text, SpecialTokens::kNone).offsets) {
      RC_ASSERT(span.begin >= begin && span.begin <= span.end && span.end <= text.size());
      begin = span.begin;
    }
  }));
}

}  // namespace
}  // namespace graft
