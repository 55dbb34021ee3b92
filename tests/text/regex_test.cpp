#include "text/regex.h"

#include <gtest/gtest.h>

#include "text/fixture.h"

namespace graft {
namespace {

std::vector<ByteSpan> matches_of(std::string_view pattern, std::string_view text) {
  Regex::Scratch scratch;
  std::vector<ByteSpan> matches;
  Regex(pattern, "test").find_all(text, scratch, matches);
  return matches;
}

TEST(Regex, WhiteSpaceLeavesOutTheMongolianVowelSeparator) {
  EXPECT_EQ(matches_of(R"(\s)", "\u180E"), std::vector<ByteSpan>{});
  EXPECT_EQ(matches_of(R"(\S)", "\u180E"), (std::vector<ByteSpan>{{0, 3}}));
  EXPECT_EQ(matches_of(R"([^\s])", "\u180E"), (std::vector<ByteSpan>{{0, 3}}));
  EXPECT_EQ(matches_of(R"([\S])", " \u3000\u180E"), (std::vector<ByteSpan>{{4, 7}}));
  EXPECT_EQ(matches_of(R"(\s+)", " \t\u00A0\u2003\u3000\u0085\n").size(), 1U);
}

TEST(Regex, EmptyMatchesMoveOnByCharacters) {
  EXPECT_EQ(matches_of("x*", "é你"), (std::vector<ByteSpan>{{0, 0}, {2, 2}, {5, 5}}));
  EXPECT_EQ(matches_of("x*", "xxa"), (std::vector<ByteSpan>{{0, 2}, {3, 3}}));
}

TEST(Regex, LineEndsAreRubys) {
  EXPECT_EQ(matches_of("^a$", "a\na\r\na"), (std::vector<ByteSpan>{{0, 1}, {5, 6}}));
  EXPECT_EQ(matches_of(".", "\r\n"), (std::vector<ByteSpan>{{0, 1}}));
}

TEST(Regex, LongRunsNeedNoStack) {
  const std::string text(1'000'000, 'a');
  EXPECT_EQ(matches_of("(?:a|b)+", text), (std::vector<ByteSpan>{{0, text.size()}}));
  EXPECT_EQ(matches_of(R"(\s+(?!\S)|\s+)", std::string(1'000'000, ' ') + "x").size(), 2U);
}

TEST(Regex, SyntaxThatMeansSomethingElseToOnigurumaIsRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> refused = {
      {R"(\h)", "the escape `\\h`"},
      {R"(\R)", "the escape `\\R`"},
      {R"(\1)", "the escape `\\1`"},
      {R"(\K)", "the escape `\\K`"},
      {R"(\é)", "the escape"},
      {R"(\)", "the escape"},
      {R"([a&&b])", "`&&` in a class"},
      {R"([a[b]])", "a class inside"},
      {R"([a)", "a `[` without its `]`"},
      {R"([])", "`[]`"},
      {R"((?m:.))", "the group `(?m:`"},
      {R"((?<n>a))", "the group `(?<n`"},
      {R"((?i)a)", "the group"},
      {R"(a{,3})", "`{,n}`"},
      {R"(a{2}+)", "`}+`"},
      {R"(\p{Emoji})", "`Emoji`"},
      {R"(\pL)", "`\\p` without"},
      {R"(\x4)", "`\\x`"},
      {R"(\u12)", "`\\u`"},
      {R"([\W])", "the escape `\\W`"},
      {R"(\x{41)", "`\\x{`"},
  };
  for (const auto& [pattern, message] : refused)
    expect_bad_input([&, p = pattern] { Regex(p, "test"); }, message);
}

TEST(Regex, MalformedPatternsAreErrors) {
  for (const char* pattern : {"(", "a)", "*", "a**b(", "[b-a]", "\\x{110000}"})
    expect_bad_input([&] { Regex(pattern, "test"); }, "test: the regular expression `");
}

}  // namespace
}  // namespace graft
