#include "text/double_array.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace graft {
namespace {

std::vector<DoubleArray::Entry> entries_of(const std::map<std::string, std::int32_t>& words) {
  return {words.begin(), words.end()};
}

TEST(DoubleArray, FindsWhatAMapFindsAndNothingElse) {
  std::mt19937 random(4);
  const auto draw = [&](std::size_t most, unsigned bytes) {
    std::string word(1 + random() % most, '\0');
    for (char& c : word) c = static_cast<char>(random() % bytes);
    return word;
  };
  for (const unsigned bytes : {2U, 26U, 256U}) {
    std::map<std::string, std::int32_t> words;
    for (std::int32_t i = 0; i < 20000; ++i) words.emplace(draw(6, bytes), i);
    const DoubleArray trie(entries_of(words));
    for (const auto& [word, value] : words) ASSERT_EQ(trie.find(word), value);
    for (int i = 0; i < 20000; ++i) {
      const std::string word = draw(7, bytes);
      const auto found = words.find(word);
      ASSERT_EQ(trie.find(word), found == words.end() ? DoubleArray::kNone : found->second);
    }
  }
}

TEST(DoubleArray, EveryByteMayFollowTheRootAndTheFirstOfEqualKeysCounts) {
  std::map<std::string, std::int32_t> words;
  for (int byte = 0; byte < 256; ++byte) words[std::string(1, static_cast<char>(byte))] = byte;
  const DoubleArray all(entries_of(words));
  for (const auto& [word, value] : words) EXPECT_EQ(all.find(word), value);
  for (int missing = 0; missing < 256; ++missing) {
    auto fewer = words;
    fewer.erase(std::string(1, static_cast<char>(missing)));
    EXPECT_EQ(DoubleArray(entries_of(fewer)).find(std::string(1, static_cast<char>(missing))),
              DoubleArray::kNone);
  }
  EXPECT_EQ(DoubleArray({{"a", 7}, {"a", 3}}).find("a"), 7);
  EXPECT_EQ(DoubleArray({}).find("a"), DoubleArray::kNone);
  EXPECT_EQ(DoubleArray({}).find(""), DoubleArray::kNone);
}

}  // namespace
}  // namespace graft
