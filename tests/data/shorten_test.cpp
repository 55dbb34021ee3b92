#include <gtest/gtest.h>

#include "data/label.h"

namespace graft {
namespace {

// Two tokens of system (1 2), three of prompt (3 4 5), the header (6), three of answer (7 8 9), its end (10),
// a tail (11).
LabelledTokens row() {
  return {.ids = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, .labels = {0, 0, 0, 0, 0, 0, 7, 8, 9, 10, 0}};
}
constexpr Cut kCut{.front = 2, .header = 5, .answer = 6, .closing = 9, .end = 10};

std::vector<std::int32_t> shortened(std::size_t max_tokens) {
  LabelledTokens tokens = row();
  EXPECT_TRUE(shorten(tokens, kCut, max_tokens));
  EXPECT_EQ(tokens.ids.size(), tokens.labels.size());
  for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
    EXPECT_EQ(tokens.labels[i], tokens.ids[i] >= 7 && tokens.ids[i] <= 10 ? tokens.ids[i] : 0);
  }
  return tokens.ids;
}

TEST(Shorten, PromptGoesFromTheLeftFirstThenTheAnswerFromTheRight) {
  EXPECT_EQ(shortened(11), row().ids);
  EXPECT_EQ(shortened(10), (std::vector<std::int32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(shortened(9), (std::vector<std::int32_t>{1, 2, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(shortened(7), (std::vector<std::int32_t>{1, 2, 6, 7, 8, 9, 10}));
  EXPECT_EQ(shortened(5), (std::vector<std::int32_t>{1, 2, 6, 7, 10}));
}

TEST(Shorten, NothingOfTheAnswerLeftIsRefusedAndChangesNothing) {
  LabelledTokens tokens = row();
  EXPECT_FALSE(shorten(tokens, kCut, 4));
  EXPECT_EQ(tokens.ids, row().ids);
}

TEST(Shorten, TextIsCutOnTheRight) {
  LabelledTokens tokens{.ids = {1, 2, 3, 4}, .labels = {1, 2, 3, 4}};
  EXPECT_TRUE(shorten(tokens, {.closing = 4, .end = 4}, 3));
  EXPECT_EQ(tokens.ids, (std::vector<std::int32_t>{1, 2, 3}));
}

}  // namespace
}  // namespace graft
