#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "data/readers.h"

namespace graft {
namespace {

const Path kShelf = Path(GRAFT_SOURCE_DIR) / "datasets";

std::vector<Path> shelf_files() {
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(kShelf)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  }
  return files;
}

/// The words of a row that a reader would see.
std::vector<std::string> words_of(const Row& row) {
  if (const auto* text = std::get_if<Text>(&row.value)) return {text->text};
  std::vector<std::string> words;
  for (const Message& message : std::get<Conversation>(row.value).messages) words.push_back(message.content);
  return words;
}

TEST(DataShelf, EveryFileIsReadAndNamedInTheReadmeWithItsCountOfRows) {
  const std::string readme = read_file(kShelf / "README.md", 1 << 20);
  ASSERT_EQ(shelf_files().size(), 6U);
  for (const Path& path : shelf_files()) {
    SCOPED_TRACE(path);
    const std::size_t rows = read_rows({.path = path.string()}, {}).rows.size();
    const std::string count = rows == 1000 ? "1,000" : std::to_string(rows);
    EXPECT_NE(readme.find("| `" + path.filename().string() + "` | " + count + " |"), std::string::npos);
    EXPECT_LT(std::filesystem::file_size(path), 1'000'000U);
  }
}

TEST(DataShelf, NoMarkupOrEntityIsLeft) {
  for (const Path& path : shelf_files()) {
    for (const Row& row : read_rows({.path = path.string()}, {}).rows) {
      for (const std::string& words : words_of(row)) {
        for (const char* left : {"<ref", "</", "&nbsp;", "&frac", "{{", "[[", "http", " ()", "<|"}) {
          EXPECT_EQ(words.find(left), std::string::npos) << row.source.text() << ": " << left;
        }
        EXPECT_FALSE(words.empty()) << row.source.text();
      }
    }
  }
}

TEST(DataShelf, AnswersAboutCookingHave150To600Characters) {
  for (const char* name : {"cooking.train.jsonl", "cooking.eval.jsonl"}) {
    for (const Row& row : read_rows({.path = (kShelf / name).string()}, {}).rows) {
      const std::string answer = words_of(row).back();
      const auto characters = std::ranges::count_if(answer, [](char c) { return (c & 0xC0) != 0x80; });
      EXPECT_TRUE(characters >= 150 && characters <= 600) << row.source.text() << ": " << characters;
    }
  }
}

TEST(DataShelf, NoQuestionOfTrainingIsHeldOut) {
  for (const std::string name : {"cooking", "persona", "jargon"}) {
    std::set<std::string> seen;
    for (const Row& row : read_rows({.path = (kShelf / (name + ".train.jsonl")).string()}, {}).rows) {
      seen.insert(words_of(row).front());
    }
    for (const Row& row : read_rows({.path = (kShelf / (name + ".eval.jsonl")).string()}, {}).rows) {
      EXPECT_FALSE(seen.contains(words_of(row).front())) << row.source.text();
    }
  }
}

}  // namespace
}  // namespace graft
