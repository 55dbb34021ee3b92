#include "recipe/move_paths.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "recipe/recipe_text.h"
#include "temporary_folder.h"

namespace graft {
namespace {

class MovePaths : public testing::Test {
 protected:
  MovePaths() {
    make_folder(folder_ / "a/deep");
    make_folder(folder_ / "b");
  }
  TemporaryFolder scratch_;
  Path folder_ = scratch_.path();
};

TEST_F(MovePaths, AllPathsMeanTheSameFilesAndCommentsStay) {
  const std::string text =
      "# first\noutput_dir: out  # stays\nmodel: {path: ../m, dtype: fp32}\nlora:\n  from: \"old "
      "\\\"one\\\"\"\n"
      "data:\n  train: [{path: 'it''s.jsonl'}, {path: /abs/a.jsonl}]  # two\n  eval:\n    - path: "
      "sub/b.jsonl\n"
      "# last\n";
  write_file(folder_ / "a/deep/r.yaml", text);
  const std::string moved = with_moved_paths(folder_ / "a/deep/r.yaml", folder_ / "b");
  write_file(folder_ / "b/r.yaml", moved);
  EXPECT_EQ(to_json(load_recipe(folder_ / "b/r.yaml")), to_json(load_recipe(folder_ / "a/deep/r.yaml")));
  EXPECT_NE(moved.find("# first\noutput_dir: out  # stays\nmodel: {path: ../a/m, dtype: fp32}\n"),
            std::string::npos)
      << moved;
  EXPECT_NE(moved.find("# two\n"), std::string::npos);
  EXPECT_TRUE(moved.ends_with("- path: ../a/deep/sub/b.jsonl\n# last\n")) << moved;
}

TEST_F(MovePaths, TheParentMovesToo) {
  write_file(folder_ / "a/base.yaml", kMinimalRecipe);
  write_file(folder_ / "a/r.yaml", "extends: base.yaml\nseed: 3\n");
  write_file(folder_ / "b/r.yaml", with_moved_paths(folder_ / "a/r.yaml", folder_ / "b"));
  EXPECT_EQ(to_json(load_recipe(folder_ / "b/r.yaml")), to_json(load_recipe(folder_ / "a/r.yaml")));
}

TEST_F(MovePaths, APathOverSeveralLinesIsRefused) {
  write_file(folder_ / "a/r.yaml", "model:\n  path: one\n    two\n");
  const Failure failure = failure_of([&] { with_moved_paths(folder_ / "a/r.yaml", folder_ / "b"); });
  EXPECT_NE(failure.message.find("r.yaml:2:9: a path over several lines cannot be rewritten"),
            std::string::npos);
}

}  // namespace
}  // namespace graft
