#include "text/added_tokens.h"

#include <gtest/gtest.h>

namespace graft {
namespace {

using Pattern = AddedTokenFinder::Pattern;

Pattern pattern(std::string text, std::int32_t id) { return {text, {.content = text, .id = id}}; }

/// Ids of the tokens in `text`, and the texts between them.
std::string parts(const AddedTokenFinder& finder, std::string_view text) {
  Regex::Scratch scratch;
  std::string written;
  for (const auto& part : finder.split(text, scratch)) {
    const auto bytes = text.substr(part.range.begin, part.range.end - part.range.begin);
    written += "[" + (part.id ? std::to_string(*part.id) : std::string(bytes)) + "]";
  }
  return written;
}

TEST(AddedTokens, TheLeftmostIsTakenAndOfSeveralTheLongest) {
  AddedTokenFinder finder;
  EXPECT_TRUE(finder.empty());
  EXPECT_EQ(parts(finder, "<a>"), "[<a>]");
  finder.add(std::vector{pattern("<a>", 1), pattern("<a><a", 2), pattern("a><", 3), pattern("é", 4)});
  EXPECT_FALSE(finder.empty());
  EXPECT_EQ(parts(finder, "x<a><a>y"), "[x][2][>y]");
  EXPECT_EQ(parts(finder, "a><a>"), "[3][a>]");
  EXPECT_EQ(parts(finder, "é<a><é"), "[4][1][<][4]");
  EXPECT_EQ(parts(finder, ""), "");
}

TEST(AddedTokens, ThoseGivenLaterAreFoundToo) {
  AddedTokenFinder finder;
  finder.add(std::vector{pattern("<a>", 1)});
  finder.add(std::vector{pattern("<b>", 2), pattern("<a>", 3)});
  finder.add({});
  EXPECT_EQ(parts(finder, "<a><b>"), "[1][2]");
}

// Two tokens may be one text once they are normalized, or none at all.
TEST(AddedTokens, OfEqualPatternsTheFirstCountsAndAnEmptyOneIsNeverFound) {
  AddedTokenFinder finder;
  finder.add(std::vector<Pattern>{{"yes", {.content = "YES", .id = 1}},
                                  {"yes", {.content = "Yes", .id = 2}},
                                  {"", {.content = " ", .id = 3}}});
  EXPECT_EQ(parts(finder, "yes no"), "[1][ no]");
}

TEST(AddedTokens, APatternMayBeAsLongAsNormalizationMakesIt) {
  const std::string longest(3'000'000, 'a');
  AddedTokenFinder finder;
  finder.add(std::vector{pattern(longest, 1), pattern("aa", 2)});
  EXPECT_EQ(parts(finder, longest + "aa"), "[1][2]");
}

}  // namespace
}  // namespace graft
