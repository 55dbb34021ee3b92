#include "peft/target_modules.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "peft/fixture.h"

namespace graft {
namespace {

TargetModules modules_of(const Json& value) {
  TargetModules modules{.all_linear = false};
  if (value.is_string()) modules.pattern = value.get<std::string>();
  if (value.is_array()) modules.names = value.get<std::vector<std::string>>();
  return modules;
}

TEST(TargetModules, PicksThePathsThatPeftPicks) {
  const Json golden = read_json(kPeftGolden / "matching.json");
  const auto paths = golden["paths"].get<std::vector<std::string>>();
  ASSERT_GE(golden["cases"].size(), 20U);
  for (const Json& entry : golden["cases"]) {
    const ModuleMatcher matcher(modules_of(entry["target_modules"]), modules_of(entry["exclude_modules"]));
    std::vector<std::string> matched;
    for (const std::string& path : paths)
      if (matcher.matches(path)) matched.push_back(path);
    EXPECT_EQ(matched, entry["matched"].get<std::vector<std::string>>()) << entry["target_modules"];
  }
}

TEST(TargetModules, AllLinearTakesEveryPathButTheExcluded) {
  const ModuleMatcher matcher({}, {.all_linear = false, .names = {"down_proj"}});
  EXPECT_TRUE(matcher.matches("model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(matcher.matches("model.layers.0.mlp.down_proj"));
}

TEST(TargetModules, ABrokenPatternIsAUsageErrorWithItsPlace) {
  try {
    ModuleMatcher({.all_linear = false, .pattern = "(q|v_proj"}, {.all_linear = false});
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(std::string(error.what()).find("character 9"), std::string::npos) << error.what();
  }
}

TEST(TargetModules, ARepeatThatPythonReadsDifferentlyIsRefused) {
  EXPECT_THROW(ModuleMatcher({.all_linear = false, .pattern = "q{,2}"}, {.all_linear = false}), Error);
}

TEST(TargetModules, ACatastrophicPatternEndsInAnError) {
  const ModuleMatcher matcher({.all_linear = false, .pattern = "((a|b|ab)*)*(((a|b)*)*c)*d"},
                              {.all_linear = false});
  EXPECT_THROW(matcher.matches(std::string(5000, 'a') + std::string(5000, 'b')), Error);
}

TEST(TargetModules, NamesThatMatchNothingAreListed) {
  const ModuleMatcher matcher({.all_linear = false, .names = {"q_proj", "w1"}}, {.all_linear = false});
  const std::vector<std::string> paths = {"a.q_proj", "a.v_proj"};
  EXPECT_EQ(matcher.unmatched_names(paths), std::vector<std::string>{"w1"});
}

TEST(TargetModules, LeafNamesAreUniqueAndInOrder) {
  const std::vector<std::string> paths = {"a.0.q_proj", "a.0.v_proj", "a.1.q_proj", "head"};
  EXPECT_EQ(leaf_names(paths), (std::vector<std::string>{"q_proj", "v_proj", "head"}));
}

}  // namespace
}  // namespace graft
