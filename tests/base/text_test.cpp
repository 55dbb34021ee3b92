#include "base/text.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

TEST(FindInvalidUtf8, AcceptsEveryWellFormedLength) {
  EXPECT_FALSE(find_invalid_utf8("").has_value());
  EXPECT_FALSE(find_invalid_utf8("plain ASCII text é 你 😀 \xF4\x8F\xBF\xBF").has_value());
}

TEST(FindInvalidUtf8, NamesTheFirstBadByteAtAnyPlace) {
  // Overlong, surrogate, above U+10FFFF, lone continuation, cut sequence.
  for (const std::string bad :
       {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xE4\xBD", "\xFF"}) {
    for (std::size_t before = 0; before < 20; ++before) {
      EXPECT_EQ(find_invalid_utf8(std::string(before, 'a') + bad), before);
      EXPECT_EQ(find_invalid_utf8(std::string(before, 'a') + bad + "aaaaaaaaaaaaaaaa"), before);
    }
  }
}

TEST(CodePointAt, IsUndoneByAppend) {
  for (const std::uint32_t value : {0x0U, 0x7FU, 0x80U, 0x7FFU, 0x800U, 0xFFFFU, 0x10000U, 0x10FFFFU}) {
    std::string text = "x";
    append_utf8(text, value);
    EXPECT_EQ(code_point_at(text, 1).value, value);
    EXPECT_EQ(code_point_at(text, 1).length, text.size() - 1);
  }
}

TEST(CountChineseCharacters, CountsIdeographsAndNothingElse) {
  EXPECT_EQ(count_chinese_characters(""), 0);
  EXPECT_EQ(count_chinese_characters("graft 1.0, naïve \xF0\x9F\x98\x80"), 0);
  EXPECT_EQ(count_chinese_characters("保险条款，第〇条。abc"), 7);
  EXPECT_EQ(count_chinese_characters("ひらがなカタカナ한국어、（）「」"), 0);
  EXPECT_EQ(count_chinese_characters("\xF0\xA0\xAE\xB7\xE3\x90\x80\xEF\xA4\x80"),
            3);  // U+20BB7, U+3400, U+F900
}

TEST(Nearest, FindsATypoAndNothingFarAway) {
  const std::vector<std::string> keys{"learning_rate", "weight_decay", "epochs"};
  EXPECT_EQ(nearest("learning_rat", keys), "learning_rate");
  EXPECT_EQ(nearest("Epoch", keys), "epochs");
  EXPECT_FALSE(nearest("tensorboard", keys).has_value());
}

TEST(Printable, EscapesControlBytesAndCutsLongText) {
  EXPECT_EQ(printable(std::string_view("a\x1b[31m\0\xFF é", 11)), "a\\x1B[31m\\x00\\xFF é");
  EXPECT_LT(printable(std::string(1'000'000, 'a')).size(), 210U);
}

TEST(Format, ReadsWell) {
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(742'000), "742 kB");
  EXPECT_EQ(format_bytes(1'300'000'000), "1.30 GB");
  EXPECT_EQ(format_seconds(4.12), "4.1s");
  EXPECT_EQ(format_seconds(192), "3m12s");
  EXPECT_EQ(format_seconds(7500), "2h05m");
  EXPECT_EQ(format_count(-1234567), "-1,234,567");
  EXPECT_EQ(format_count(123), "123");
}

TEST(Split, KeepsEmptyPartsAndJoinUndoesIt) {
  const std::vector<std::string> parts = split(",a,,b,", ',');
  EXPECT_EQ(parts.size(), 5U);
  EXPECT_EQ(join(parts, ","), ",a,,b,");
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
}

}  // namespace
}  // namespace graft
