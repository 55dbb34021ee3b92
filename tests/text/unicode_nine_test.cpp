#include "text/unicode_nine.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "text/normalizer.h"

namespace graft {
namespace {

std::string normalized(UnicodeForm form, const std::vector<std::uint32_t>& characters) {
  std::string text;
  for (const std::uint32_t c : characters) append_utf8(text, c);
  Regex::Scratch scratch;
  return std::string(Normalizer({form}).apply(text, 0, scratch)->text());
}

std::string utf8(const std::vector<std::uint32_t>& characters) {
  std::string text;
  for (const std::uint32_t c : characters) append_utf8(text, c);
  return text;
}

// What tokenizers 0.22 makes of them.
TEST(UnicodeNine, MarksThatCameLaterKeepTheirPlace) {
  for (const UnicodeForm form : {UnicodeForm::kNfc, UnicodeForm::kNfd}) {
    for (const std::uint32_t later : {0x1DF6U, 0x8CAU, 0x1ABFU, 0x10EFDU, 0x1E4EFU})
      EXPECT_EQ(normalized(form, {'a', later, 0x334}), utf8({'a', later, 0x334})) << later;
    for (const std::uint32_t known : {0x1DF5U, 0x8D4U, 0x1AB0U})
      EXPECT_EQ(normalized(form, {'a', known, 0x334}), utf8({'a', 0x334, known})) << known;
  }
}

TEST(UnicodeNine, CharactersThatCameLaterStayWhole) {
  for (const std::uint32_t later : {0x32FFU, 0xA7F2U, 0x10781U, 0x1E030U, 0x1F16CU, 0x1FBF9U})
    EXPECT_EQ(normalized(UnicodeForm::kNfkc, {later}), utf8({later})) << later;
  EXPECT_EQ(normalized(UnicodeForm::kNfkc, {0x32FE}), utf8({0x30F2}));
  EXPECT_EQ(normalized(UnicodeForm::kNfd, {0x11938}), utf8({0x11938}));
  EXPECT_EQ(normalized(UnicodeForm::kNfc, {0x11935, 0x11930}), utf8({0x11935, 0x11930}));
}

TEST(UnicodeNine, RangesEndWhereTheySay) {
  EXPECT_TRUE(is_later_mark(0x7FD));
  EXPECT_TRUE(is_later_mark(0x1E4EF));
  EXPECT_TRUE(is_later_composite(0x32FF));
  for (const std::uint32_t c : {0x300U, 0x7FCU, 0x7FEU, 0x8D4U, 0x1E4F0U, 0x10FFFFU})
    EXPECT_FALSE(is_later_mark(c)) << c;
  for (const std::uint32_t c : {0xC0U, 0x32FEU, 0x10786U, 0x1FBFAU}) EXPECT_FALSE(is_later_composite(c)) << c;
}

}  // namespace
}  // namespace graft
