#include "text/string_ids.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace graft {
namespace {

TEST(StringIds, FindsWhatAMapFindsAndNothingElse) {
  std::mt19937 random(5);
  const auto draw = [&] {
    std::string text(random() % 20, '\0');
    for (char& c : text) c = static_cast<char>(random() % 3);
    return text;
  };
  std::map<std::string, std::int32_t> known;
  StringIds ids;
  for (std::int32_t id = 0; id < 20000; ++id) {
    const std::string text = draw();
    EXPECT_EQ(ids.add(text, id), known.emplace(text, id).second);
  }
  EXPECT_TRUE(known.contains(""));
  for (const auto& [text, id] : known) ASSERT_EQ(ids.find(text), id);
  for (int i = 0; i < 20000; ++i) {
    const std::string text = draw() + draw();
    const auto found = known.find(text);
    ASSERT_EQ(ids.find(text), found == known.end() ? StringIds::kNone : found->second);
  }
}

TEST(StringIds, MakingRoomLosesNothing) {
  StringIds ids;
  EXPECT_EQ(ids.find(""), StringIds::kNone);
  ids.add("a", 7);
  ids.reserve(100000);
  EXPECT_EQ(ids.find("a"), 7);
  EXPECT_FALSE(ids.add("a", 8));
  EXPECT_EQ(ids.find("a"), 7);
  EXPECT_EQ(ids.find(std::string("a\0", 2)), StringIds::kNone);
}

}  // namespace
}  // namespace graft
