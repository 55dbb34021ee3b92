#include "train/run_folder.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "temporary_folder.h"

namespace graft {
namespace {

ExitCode code_of(const Path& folder, ExistingRun existing) {
  try {
    check_output_folder(folder, existing);
    return ExitCode::kDone;
  } catch (const Error& error) {
    return error.code();
  }
}

TEST(RunFolder, ANewOrEmptyFolderIsFree) {
  const TemporaryFolder folder;
  EXPECT_EQ(code_of(folder.path() / "new", ExistingRun::kRefuse), ExitCode::kDone);
  EXPECT_EQ(code_of(folder.path(), ExistingRun::kRefuse), ExitCode::kDone);
}

TEST(RunFolder, ARunIsRefusedUnlessResumedOrOverwritten) {
  const TemporaryFolder folder;
  write_file(folder.path() / "metrics.jsonl", "");
  EXPECT_EQ(code_of(folder.path(), ExistingRun::kRefuse), ExitCode::kUsage);
  EXPECT_EQ(code_of(folder.path(), ExistingRun::kResume), ExitCode::kDone);
  EXPECT_EQ(code_of(folder.path(), ExistingRun::kOverwrite), ExitCode::kDone);
}

TEST(RunFolder, SomebodyElsesFilesAreNeverOverwritten) {
  const TemporaryFolder folder;
  write_file(folder.path() / "thesis.tex", "years of work");
  for (const ExistingRun existing : {ExistingRun::kRefuse, ExistingRun::kResume, ExistingRun::kOverwrite}) {
    EXPECT_EQ(code_of(folder.path(), existing), ExitCode::kUsage);
  }
}

TEST(RunFolder, OverwriteRemovesTheRunAndOnlyTheRun) {
  const TemporaryFolder folder;
  write_file(folder.path() / "metrics.jsonl", "old");
  write_file(folder.path() / "notes.txt", "mine");
  const RunFolder run(folder.path(), ExistingRun::kOverwrite);
  EXPECT_FALSE(std::filesystem::exists(run.metrics()));
  EXPECT_EQ(read_file(folder.path() / "notes.txt", 100), "mine");
}

TEST(RunFolder, ASecondHolderIsTurnedAway) {
  const TemporaryFolder folder;
  const RunFolder first(folder.path() / "run", ExistingRun::kRefuse);
  try {
    const RunFolder second(folder.path() / "run", ExistingRun::kResume);
    FAIL() << "the folder was given out twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kInUse);
  }
}

}  // namespace
}  // namespace graft
