#include "recipe/layers.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "recipe/recipe_text.h"
#include "temporary_folder.h"

namespace graft {
namespace {

class RecipeLayers : public testing::Test {
 protected:
  Path file(const std::string& name, const std::string& text) const {
    make_folder((folder_ / name).parent_path());
    write_file(folder_ / name, text);
    return folder_ / name;
  }

  TemporaryFolder scratch_;
  Path folder_ = scratch_.path();
};

TEST_F(RecipeLayers, AChildReplacesKeysOfItsParentOneByOneAndListsWhole) {
  file("base.yaml",
       "output_dir: out\nmodel: {path: m, dtype: fp32}\ndata: {train: [{path: a}, {path: b}]}\n"
       "lora: {r: 4, target_modules: [q_proj, k_proj]}\n");
  const Recipe recipe =
      load_recipe(file("child.yaml", "extends: base.yaml\nlora: {alpha: 3, target_modules: [v_proj]}\n"));
  EXPECT_EQ(recipe.lora.r, 4);
  EXPECT_EQ(recipe.lora.alpha, 3.0);
  EXPECT_EQ(recipe.lora.target_modules.names, std::vector<std::string>{"v_proj"});
  EXPECT_EQ(recipe.model.dtype, ComputeDType::kF32);
  EXPECT_EQ(recipe.data.train.size(), 2U);
}

TEST_F(RecipeLayers, PathsAreRelativeToTheFileTheyStandIn) {
  file("shared/base.yaml", "output_dir: out\nmodel: {path: m}\ndata: {train: [{path: a}]}\n");
  const Recipe recipe =
      load_recipe(file("mine/child.yaml", "extends: ../shared/base.yaml\ndata: {eval: [{path: b}]}\n"));
  EXPECT_EQ(Path(recipe.model.path), folder_ / "shared/m");
  EXPECT_EQ(Path(recipe.data.eval[0].path), folder_ / "mine/b");
}

TEST_F(RecipeLayers, AnEmptySectionOfTheChildKeepsTheParents) {
  file("base.yaml", std::string(kMinimalRecipe) + "lora: {r: 4}\n");
  EXPECT_EQ(load_recipe(file("child.yaml", "extends: base.yaml\nlora:\n")).lora.r, 4);
}

TEST_F(RecipeLayers, AKeyReplacesTheKeyOfALowerLayerThatExcludesIt) {
  file("base.yaml", std::string(kMinimalRecipe) + "train: {epochs: 5}\nschedule: {warmup_ratio: 0.5}\n");
  const Path child =
      file("child.yaml", "extends: base.yaml\ntrain: {max_steps: 7}\nschedule: {warmup_steps: 2}\n");
  EXPECT_EQ(load_recipe(child).train.max_steps, 7);
  EXPECT_EQ(load_recipe(child).schedule.warmup_steps, 2);
  const Recipe back = load_recipe(child, {"train.epochs=2"});
  EXPECT_EQ(back.train.epochs, 2);
  EXPECT_EQ(back.train.max_steps, 0);
}

TEST_F(RecipeLayers, APlaceInTheParentIsReportedAsTheParents) {
  file("base.yaml", std::string(kMinimalRecipe) + "lora: {rr: 4}\n");
  const Failure failure =
      failure_of([&] { load_recipe(file("child.yaml", "extends: base.yaml\nseed: 1\n")); });
  EXPECT_EQ(failure.message, (folder_ / "base.yaml").string() + ":4:8: lora.rr: unknown key");
}

TEST(RecipeOverrides, AreReadAsYamlBySchema) {
  const Recipe recipe = load_minimal(
      "lora: {r: 4}\n", {"lora.r=8", "optim.learning_rate=1e-4", "train.batch_size=2k",
                         "lora.target_modules=[q_proj, v_proj]", "lora.from=", "output_dir=a=b",
                         "data.shuffle=false", "optim={eps: 1e-3}", "evaluation.sample_prompts=[\"a: b\"]"});
  EXPECT_EQ(recipe.lora.r, 8);
  EXPECT_EQ(recipe.optim.learning_rate, 1e-4);
  EXPECT_EQ(recipe.optim.eps, 1e-3);
  EXPECT_EQ(recipe.train.batch_size, 2000);
  EXPECT_EQ(recipe.lora.target_modules.names.size(), 2U);
  EXPECT_EQ(recipe.output_dir, "a=b");
  EXPECT_FALSE(recipe.data.shuffle);
  EXPECT_EQ(recipe.evaluation.sample_prompts, std::vector<std::string>{"a: b"});
}

TEST(RecipeOverrides, PathsAreRelativeToTheWorkingDirectory) {
  const Path here = std::filesystem::temp_directory_path();
  const Recipe recipe = load_minimal("", {"model.path=" + (here / "m").string()});
  EXPECT_EQ(Path(recipe.model.path), here / "m");
}

TEST(RecipeOverrides, MistakesAreReportedAsTheOverride) {
  const auto message = [](const std::string& text) {
    return failure_of([&] { load_minimal("", {text}); }).message;
  };
  EXPECT_EQ(message("lora.r=x"), "override 'lora.r=x': lora.r: wrong type (got x, want an integer from 1)");
  EXPECT_EQ(message("lora.rank=8"),
            "override 'lora.rank=8': lora.rank: a key of another tool (here it is lora.r)");
  EXPECT_EQ(message("lora.dropuot=0"), "override 'lora.dropuot=0': lora.dropuot: unknown key");
  EXPECT_EQ(message("lora=8"), "override 'lora=8': lora: wrong type (got 8, want a map of keys)");
  EXPECT_EQ(message("lora.r"), "override 'lora.r': not an override (got no key, want key=value)");
  EXPECT_EQ(message("=8"), "override '=8': not an override (got no key, want key=value)");
  EXPECT_EQ(message("lora..r=8"), "override 'lora..r=8': lora.: unknown key");
  EXPECT_EQ(message("extends=a.yaml"), "override 'extends=a.yaml': extends: belongs in a file");
  EXPECT_EQ(message("lora.r=&a 8"), "override 'lora.r=&a 8': recipes have no anchors (got `&a`)");
  EXPECT_EQ(message("data.train.0.path=x"),
            "override 'data.train.0.path=x': data.train: wrong type (got a map, want a list)");
  EXPECT_EQ(message("model.path="),
            "override 'model.path=': model.path: missing (got nothing, want a Hugging Face folder or a .gguf "
            "file)");
}

TEST(RecipeOverrides, TheSameKeyTwiceIsAMistake) {
  const Failure failure = failure_of([] { load_minimal("", {"lora.r=1", "lora.r=2"}); });
  EXPECT_EQ(failure.code, ExitCode::kUsage);
  EXPECT_EQ(failure.message, "override 'lora.r=2': lora.r: given twice");
}

TEST(RecipeOverrides, ExcludingOnesTogetherAreAMistake) {
  const Failure failure = failure_of([] { load_minimal("", {"train.epochs=1", "train.max_steps=2"}); });
  EXPECT_EQ(failure.message,
            "override 'train.max_steps=2': train.max_steps: excludes train.epochs (written at override "
            "'train.epochs=1')");
}

}  // namespace
}  // namespace graft
