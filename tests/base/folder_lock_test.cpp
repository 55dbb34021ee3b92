#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "expect_error.h"
#include "temporary_folder.h"

namespace graft {
namespace {

TEST(FolderLock, NamesTheProcessThatHoldsTheFolder) {
  const TemporaryFolder folder;
  const FolderLock held(folder.path());
  const Error error = error_of([&] { FolderLock second(folder.path()); });
  EXPECT_EQ(error.code(), ExitCode::kInUse);
  EXPECT_TRUE(contains(error.what(), "in use by process " + std::to_string(::getpid())));
}

TEST(FolderLock, IsFreeAgainAndLeavesNoFileAfterItsEnd) {
  const TemporaryFolder folder;
  { const FolderLock first(folder.path()); }
  EXPECT_EQ(folder.entries(), 0U);
  const FolderLock second(folder.path());
}

TEST(FolderLock, IsTakenOverFromAKilledProcess) {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const FolderLock lock(folder.path());
    ::_exit(std::filesystem::exists(folder / ".lock") ? 0 : 1);  // without the destructor, as SIGKILL would
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(std::filesystem::exists(folder / ".lock"));
  const FolderLock lock(folder.path());
  EXPECT_TRUE(contains(read_file(folder / ".lock", 1000), std::to_string(::getpid())));
}

TEST(FolderLock, NeedsAFolder) {
  EXPECT_EQ(error_of([] { FolderLock lock("/nonexistent-folder"); }).code(), ExitCode::kResource);
}

}  // namespace
}  // namespace graft
