#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <thread>

#include "text/fixture.h"

namespace graft {
namespace {

TEST(Tokenizer, InvalidUtf8IsAnErrorWithTheByte) {
  const Tokenizer tokenizer = tokenizer_of(small_tokenizer_json());
  expect_bad_input([&] { tokenizer.encode("ab\xFF", SpecialTokens::kNone); }, "not valid UTF-8 (at byte 2)");
  expect_bad_input([&] { tokenizer.encode("\xED\xA0\x80", SpecialTokens::kNone); }, "at byte 0");
  expect_bad_input([&] { tokenizer.encode("x\xE4\xBD", SpecialTokens::kNone); }, "at byte 1");
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreErrors) {
  const Tokenizer tokenizer = tokenizer_of(small_tokenizer_json());
  for (const std::int32_t id : {-1, 640, INT32_MAX, INT32_MIN}) {
    expect_bad_input([&] { tokenizer.bytes(id); }, "is not in the tokenizer's vocabulary (0 to 639)");
    expect_bad_input([&] { tokenizer.token(id); }, std::to_string(id));
    expect_bad_input([&] { tokenizer.decode({id}); }, std::to_string(id));
    EXPECT_FALSE(tokenizer.is_special(id));
  }
}

TEST(Tokenizer, DecodingLeavesSpecialTokensOutUnlessKept) {
  const Tokenizer tokenizer = tokenizer_of(small_tokenizer_json());
  const std::string text = "<|im_start|>user\nhi é<|im_end|>";
  const auto ids = tokenizer.encode(text, SpecialTokens::kNone).ids;
  EXPECT_EQ(tokenizer.decode(ids), "user\nhi é");
  EXPECT_EQ(tokenizer.decode(ids, true), text);
}

TEST(Tokenizer, SpellingsAndBytesOfOneTokenAreThoseOfTheVocabulary) {
  const Tokenizer tokenizer = tokenizer_of(small_tokenizer_json());
  const auto space = tokenizer.id("Ġ");
  ASSERT_TRUE(space.has_value());
  EXPECT_EQ(tokenizer.bytes(*space), " ");
  EXPECT_EQ(tokenizer.token(*space), "Ġ");
  EXPECT_EQ(tokenizer.bytes(1), "<|im_start|>");
  EXPECT_TRUE(tokenizer.is_special(1));
  EXPECT_FALSE(tokenizer.is_special(*space));
  EXPECT_EQ(tokenizer.id("not a token"), std::nullopt);
  EXPECT_EQ(tokenizer.bytes(*tokenizer.id("å")), "\xE5") << "one byte of a character";
}

TEST(Tokenizer, IllFormedBytesDecodeToOneReplacementForEachLongestStart) {
  const Tokenizer tokenizer = tokenizer_of(small_tokenizer_json());
  const auto byte = [&](const char* spelling) { return *tokenizer.id(spelling); };
  // F0 9F 98 | E4 BD | A0 alone | 41
  const std::vector<std::int32_t> ids = {byte("ð"), byte("Ł"), byte("ĺ"), byte("ä"), byte("½"), byte("A")};
  EXPECT_EQ(tokenizer.decode(ids),
            "\xEF\xBF\xBD\xEF\xBF\xBD"
            "A");
  EXPECT_EQ(tokenizer.decode({byte("ł"), byte("A")}),
            "\xEF\xBF\xBD"
            "A");
}

TEST(Tokenizer, ManyThreadsShareOneTokenizer) {
  const Tokenizer tokenizer = tokenizer_of(small_tokenizer_json());
  std::string text;
  for (int i = 0; i < 300; ++i) text += " word" + std::to_string(i * 7919) + " 你好";
  const std::string expected =
      describe(tokenizer_of(small_tokenizer_json()).encode(text, SpecialTokens::kNone));
  std::vector<int> equal(4, 0);
  std::vector<std::thread> threads;
  for (int& slot : equal)
    threads.emplace_back([&] { slot = describe(tokenizer.encode(text, SpecialTokens::kNone)) == expected; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 1));
}

TEST(StreamDecoder, NeverEmitsPartOfACharacter) {
  const Tokenizer tokenizer = tokenizer_of(small_tokenizer_json());
  const std::string text = "a🙂你é👨‍👩‍👧!";
  StreamDecoder stream(tokenizer);
  std::string together;
  for (const std::int32_t id : tokenizer.encode(text, SpecialTokens::kNone).ids) {
    const std::string piece = stream.put(id);
    EXPECT_EQ(piece.find("\xEF\xBF\xBD"), std::string::npos);
    together += piece;
    EXPECT_TRUE(text.starts_with(together));
  }
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(together, text);
}

TEST(StreamDecoder, WhatIsLeftAtTheEndBecomesOneReplacement) {
  const Tokenizer tokenizer = tokenizer_of(small_tokenizer_json());
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.put(*tokenizer.id("ð")), "");
  EXPECT_EQ(stream.put(*tokenizer.id("Ł")), "");
  EXPECT_EQ(stream.put(2), "") << "a special token between the bytes";
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

}  // namespace
}  // namespace graft
