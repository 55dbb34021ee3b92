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

LoraOptions options_of(TargetModules targets, TargetModules excluded = {.all_linear = false}) {
  LoraOptions options;
  options.target_modules = std::move(targets);
  options.exclude_modules = std::move(excluded);
  return options;
}

LoraOptions options_of_case(const Json& entry) {
  LoraOptions options = options_of(modules_of(entry["target_modules"]), modules_of(entry["exclude_modules"]));
  if (entry.contains("layers_to_transform"))
    options.layers_to_transform = entry["layers_to_transform"].get<std::vector<std::int64_t>>();
  if (entry.contains("layers_pattern"))
    options.layers_pattern = entry["layers_pattern"].get<std::vector<std::string>>();
  if (entry.contains("modules_to_save"))
    options.modules_to_save = entry["modules_to_save"].get<std::vector<std::string>>();
  return options;
}

TEST(TargetModules, PicksThePathsThatPeftPicks) {
  const Json golden = read_json(kPeftGolden / "matching.json");
  const auto paths = golden["paths"].get<std::vector<std::string>>();
  ASSERT_GE(golden["cases"].size(), 28U);
  for (const Json& entry : golden["cases"]) {
    const ModuleMatcher matcher(options_of_case(entry));
    std::vector<std::string> matched;
    for (const std::string& path : paths)
      if (matcher.matches(path)) matched.push_back(path);
    EXPECT_EQ(matched, entry["matched"].get<std::vector<std::string>>()) << entry;
  }
}

TEST(TargetModules, PatternsPickTheKeysThatPeftPicks) {
  const Json golden = read_json(kPeftGolden / "matching.json");
  ASSERT_GE(golden["patterns"].size(), 6U);
  for (const Json& entry : golden["patterns"]) {
    ModulePattern<std::int64_t> pattern;
    for (const Json& key : entry["keys"]) pattern.emplace_back(key.get<std::string>(), 1);
    const PatternTable<std::int64_t> table("rank_pattern", pattern);
    for (const auto& [path, wanted] : entry["chosen"].items()) {
      const auto found = table.find(path);
      EXPECT_EQ(found ? Json(entry["keys"][*found]) : Json(nullptr), wanted) << entry["keys"] << " " << path;
    }
  }
}

TEST(TargetModules, AllLinearTakesEveryPathButTheExcluded) {
  const ModuleMatcher matcher(options_of({}, {.all_linear = false, .names = {"down_proj"}}));
  EXPECT_TRUE(matcher.matches("model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(matcher.matches("model.layers.0.mlp.down_proj"));
}

TEST(TargetModules, ABrokenPatternIsAUsageErrorWithItsPlace) {
  try {
    ModuleMatcher{options_of({.all_linear = false, .pattern = "(q|v_proj"})};
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    EXPECT_NE(std::string(error.what()).find("character 9"), std::string::npos) << error.what();
  }
}

TEST(TargetModules, ARepeatThatPythonReadsDifferentlyIsRefused) {
  EXPECT_THROW(ModuleMatcher{options_of({.all_linear = false, .pattern = "q{,2}"})}, Error);
}

TEST(TargetModules, ACatastrophicPatternEndsInAnError) {
  const ModuleMatcher matcher(options_of({.all_linear = false, .pattern = "((a|b|ab)*)*(((a|b)*)*c)*d"}));
  EXPECT_THROW(matcher.matches(std::string(5000, 'a') + std::string(5000, 'b')), Error);
}

TEST(TargetModules, NamesThatMatchNothingAreListed) {
  const ModuleMatcher matcher(options_of({.all_linear = false, .names = {"q_proj", "w1"}}));
  const std::vector<std::string> paths = {"a.q_proj", "a.v_proj"};
  EXPECT_EQ(matcher.unmatched_names(paths), std::vector<std::string>{"w1"});
}

TEST(TargetModules, LeafNamesAreUniqueAndInOrder) {
  const std::vector<std::string> paths = {"a.0.q_proj", "a.0.v_proj", "a.1.q_proj", "head"};
  EXPECT_EQ(leaf_names(paths), (std::vector<std::string>{"q_proj", "v_proj", "head"}));
}

}  // namespace
}  // namespace graft
