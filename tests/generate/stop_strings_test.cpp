#include "generate/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace graft {
namespace {

/// What gets out of `text` cut into pieces of these lengths (the last one again and again).
std::string shown(const std::string& text, std::vector<std::string> stops, std::vector<std::size_t> lengths) {
  StopStrings filter(std::move(stops));
  std::string out;
  std::size_t at = 0;
  for (std::size_t i = 0; at < text.size(); ++i) {
    const std::size_t length = lengths[std::min(i, lengths.size() - 1)];
    out += filter.put(text.substr(at, length));
    at += length;
  }
  return out + filter.finish();
}

TEST(StopStrings, NothingOfAStopStringGetsOut) {
  for (const std::size_t length : {1U, 2U, 3U, 100U}) {
    EXPECT_EQ(shown("one END two", {"END"}, {length}), "one ") << length;
    EXPECT_EQ(shown("one\n\nUser: two", {"never", "\n\nUser:"}, {length}), "one") << length;
    EXPECT_EQ(shown("END", {"END"}, {length}), "") << length;
  }
}

TEST(StopStrings, WhatOnlyBeginsLikeAStopStringIsShownOnceThatIsKnown) {
  StopStrings filter({"END"});
  EXPECT_EQ(filter.put("a E"), "a ");
  EXPECT_EQ(filter.put("N"), "");
  EXPECT_EQ(filter.put("X EEN"), "ENX E");
  EXPECT_FALSE(filter.stopped());
  EXPECT_EQ(filter.finish(), "EN");
  EXPECT_EQ(shown("an EN", {"END"}, {1}), "an EN");
}

TEST(StopStrings, AfterTheEndNothingComes) {
  StopStrings filter({"."});
  EXPECT_EQ(filter.put("a.b"), "a");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.put("c"), "");
  EXPECT_EQ(filter.finish(), "");
}

TEST(StopStrings, TheOneThatEndsFirstCountsAndOfThoseTheLongest) {
  EXPECT_EQ(shown("xabcdy", {"abcd", "bc"}, {100}), "xa");
  EXPECT_EQ(shown("xabcdy", {"bc", "abcd"}, {1}), "xa");
  EXPECT_EQ(shown("xabcy", {"bc", "abc"}, {100}), "x");
  EXPECT_EQ(shown("aab", {"ab"}, {1}), "a");
  EXPECT_EQ(shown("abababac", {"ababac"}, {2}), "ab") << "a beginning inside a beginning";
}

TEST(StopStrings, WithoutAnyAllTextPassesAtOnce) {
  StopStrings filter({});
  EXPECT_EQ(filter.put("abc"), "abc");
  EXPECT_EQ(filter.finish(), "");
}

TEST(StopStrings, HowTheTextIsCutChangesNothing) {
  RandomStream random(11);
  const auto letters = [&](std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += static_cast<char>('a' + random.below(2));
    return text;
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> stops;
    for (std::uint64_t i = 0, n = random.below(3) + 1; i < n; ++i)
      stops.push_back(letters(random.below(5) + 1));
    const std::string text = letters(20);
    // By hand: the shortest beginning of the text that ends with a stop string.
    std::string want = text;
    for (std::size_t end = 1; end <= text.size() && want == text; ++end) {
      std::size_t longest = 0;
      for (const std::string& stop : stops)
        if (text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
      if (longest > 0) want = text.substr(0, end - longest);
    }
    std::vector<std::size_t> lengths;
    for (int i = 0; i < 20; ++i) lengths.push_back(random.below(6) + 1);
    ASSERT_EQ(shown(text, stops, lengths), want) << text;
  }
}

}  // namespace
}  // namespace graft
