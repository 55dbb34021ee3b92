#include <gtest/gtest.h>

#include <cerrno>

#include "base/file.h"
#include "base/staged_output.h"
#include "expect_error.h"
#include "temporary_folder.h"

namespace graft {
namespace {

TEST(OutputFolder, AppearsWithAllItsFilesWhenCommitted) {
  const TemporaryFolder folder;
  {
    OutputFolder output(folder / "out");
    make_folder(output.temporary() / "below");
    write_file(output.temporary() / "below" / "a", "text");
    EXPECT_FALSE(std::filesystem::exists(folder / "out"));
    output.commit();
  }
  EXPECT_EQ(read_file(folder / "out" / "below" / "a", 10), "text");
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(OutputFolder, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  {
    const OutputFolder output(folder / "out");
    write_file(output.temporary() / "a", "text");
  }
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(OutputFolder, MakesItsParentsAndTakesATrailingSlash) {
  const TemporaryFolder folder;
  OutputFolder output((folder / "x" / "y").string() + "/");
  output.commit();
  EXPECT_TRUE(std::filesystem::is_directory(folder / "x" / "y"));
}

TEST(StagedOutput, ShowsNothingUntilAllOfItIsThere) {
  const TemporaryFolder folder;
  write_file(folder / "m.note", "old");
  {
    const StagedOutput output(folder / "m.gguf");
    write_file(output.place(), "never proven");
    EXPECT_FALSE(std::filesystem::exists(folder / "m.gguf"));
  }
  EXPECT_EQ(folder.entries(), 1U);
  {
    StagedOutput output(folder / "m.gguf");
    EXPECT_EQ(output.place().filename(), "m.gguf");
    write_file(output.place(), "model");
    write_file(output.place().parent_path() / "m.note", "new");
    output.commit();
  }
  EXPECT_EQ(folder.entries(), 2U);
  EXPECT_EQ(read_file(folder / "m.gguf", 100), "model");
  EXPECT_EQ(read_file(folder / "m.note", 100), "new");
  EXPECT_THROW(StagedOutput(folder / "m.gguf"), Error);
}

TEST(OutputFolder, RefusesAPathThatExists) {
  const TemporaryFolder folder;
  make_folder(folder / "out");
  const Error error = error_of([&] { OutputFolder output(folder / "out"); });
  EXPECT_EQ(error.code(), ExitCode::kUsage);
  EXPECT_TRUE(contains(error.what(), "exists already"));
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(OutputFolder, RefusesAPathThatAppearedMeanwhileAndKeepsIt) {
  const TemporaryFolder folder;
  {
    OutputFolder output(folder / "out");
    write_file(output.temporary() / "mine", "");
    make_folder(folder / "out");  // empty: a plain rename would replace it
    EXPECT_EQ(error_of([&] { output.commit(); }).code(), ExitCode::kUsage);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder / "out"));
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(OutputFolder, LeavesNothingWhicheverOperationOfCommitFails) {
  for (const std::string_view broken : {"open", "fsync", "rename"}) {
    const TemporaryFolder folder;
    {
      OutputFolder output(folder / "out");
      write_file(output.temporary() / "a", "text");
      set_file_fault([&](std::string_view operation, const Path&) { return operation == broken ? EIO : 0; });
      EXPECT_EQ(error_of([&] { output.commit(); }).code(), ExitCode::kResource) << broken;
      set_file_fault({});
    }
    EXPECT_EQ(folder.entries(), 0U) << broken;
  }
}

TEST(Folders, AreMadeAndRemovedWhetherOrNotTheyExist) {
  const TemporaryFolder folder;
  make_folder(folder / "a" / "b");
  make_folder(folder / "a" / "b");
  graft::remove_all(folder / "a");
  graft::remove_all(folder / "a");
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(Folders, CannotBeMadeWhereAFileStands) {
  const TemporaryFolder folder;
  write_file(folder / "a", "");
  EXPECT_EQ(error_of([&] { make_folder(folder / "a"); }).code(), ExitCode::kResource);
  EXPECT_EQ(error_of([&] { make_folder(folder / "a" / "b"); }).code(), ExitCode::kResource);
}

TEST(FreeBytes, AnswersForPathsThatDoNotExistYet) {
  const TemporaryFolder folder;
  EXPECT_GT(free_bytes(folder / "a" / "b" / "c"), 0U);
  EXPECT_GT(free_bytes("relative-and-missing"), 0U);
}

}  // namespace
}  // namespace graft
