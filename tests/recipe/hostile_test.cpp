#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "recipe/recipe.h"
#include "recipe/recipe_text.h"

namespace graft {
namespace {

const Path kCorpus = Path(GRAFT_SOURCE_DIR) / "tests/hostile/recipes";

/// A message without the folder that this checkout lives in.
std::string relative(std::string message) {
  const std::string prefix = kCorpus.string() + "/";
  for (std::size_t at = message.find(prefix); at != message.npos; at = message.find(prefix)) {
    message.erase(at, prefix.size());
  }
  return message;
}

TEST(HostileRecipes, EachIsRefusedWithItsOwnMessage) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus)) {
    if (entry.path().extension() != ".yaml") continue;
    ++count;
    const Path expected = Path(entry.path()).replace_extension(".expected");
    const Failure failure = failure_of([&] { load_recipe(entry.path()); });
    std::string got = relative(failure.message) + "\n";
    if (!failure.hint.empty()) got += "hint: " + relative(failure.hint) + "\n";
    EXPECT_EQ(got, std::filesystem::exists(expected) ? read_file(expected, 1 << 16) : "")
        << entry.path().filename();
  }
  EXPECT_GE(count, 80);
}

TEST(HostileRecipes, TooDeepInEveryStyleIsRefusedWithItsPlace) {
  for (const char* open : {"[", "{a: ", "- ", "? "}) {
    std::string text;
    for (int i = 0; i < 10000; ++i) text += open;
    const Failure failure = failure_of([&] { load_text(text); });
    EXPECT_EQ(failure.code, ExitCode::kUsage) << open;
    EXPECT_NE(failure.message.find("recipe.yaml:1:"), std::string::npos) << failure.message;
  }
  std::string block;
  for (int i = 0; i < 1000; ++i) block += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  EXPECT_NE(failure_of([&] { load_text(block); }).message.find("nested too deep"), std::string::npos);
}

TEST(HostileRecipes, SixtyFourLevelsAreReadAndSixtyFiveAreNot) {
  const auto nested = [](std::size_t depth) {
    return "x: " + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "\n";
  };
  EXPECT_EQ(failure_of([&] { load_text(nested(64)); }).message.find("nested too deep"), std::string::npos);
  EXPECT_NE(failure_of([&] { load_text(nested(65)); }).message.find("nested too deep"), std::string::npos);
}

TEST(HostileRecipes, OverOneMebibyteIsRefusedAndOneMebibyteIsNot) {
  const std::string head = kMinimalRecipe;
  const auto padded = [&](std::size_t size) { return head + "#" + std::string(size - head.size() - 1, 'x'); };
  EXPECT_NO_THROW(load_text(padded(1 << 20)));
  const Failure failure = failure_of([&] { load_text(padded((1 << 20) + 1)); });
  EXPECT_EQ(failure.code, ExitCode::kUsage);
  EXPECT_NE(failure.message.find("too large for a recipe (got 1048577 bytes, want at most 1048576)"),
            std::string::npos);
}

TEST(HostileRecipes, MebibytesOfOneThingEndInAnError) {
  for (const std::string piece : {"[", "]", "- a\n", "a: 1\n", "*a ", "&a ", "!a ", "\"", "'", "%", "|\n",
                                  "{", "a,", "? a\n", "#", "\n", ": ", "- - ", "[a: "}) {
    std::string text;
    while (text.size() + piece.size() <= (1 << 20)) text += piece;
    const Failure failure = failure_of([&] { load_text(text); });
    EXPECT_EQ(failure.code, ExitCode::kUsage) << piece;
  }
}

}  // namespace
}  // namespace graft
