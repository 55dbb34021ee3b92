#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "expect_error.h"
#include "temporary_folder.h"

namespace graft {
namespace {

constexpr std::uint64_t kLimit = 1 << 26;

// Makes the operation number `strike` (from 0) fail with `error`; counts all of them.
class Fault {
 public:
  Fault(int strike, int error) {
    set_file_fault([this, strike, error](std::string_view operation, const Path&) {
      // A file system without locks is none without files.
      return operation != "flock" && count_++ == strike ? error : 0;
    });
  }
  ~Fault() { set_file_fault({}); }
  Fault(const Fault&) = delete;
  int count() const { return count_; }

 private:
  int count_ = 0;
};

TEST(OutputFile, AppearsOnlyWhenCommitted) {
  const TemporaryFolder folder;
  {
    OutputFile file(folder / "a");
    file.write("text");
    EXPECT_FALSE(std::filesystem::exists(folder / "a"));
    file.commit();
    EXPECT_EQ(read_file(folder / "a", kLimit), "text");
  }
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(OutputFile, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  { OutputFile(folder / "a").write("text"); }
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(OutputFile, CanBeMovedAndCommittedOnce) {
  const TemporaryFolder folder;
  {
    OutputFile first(folder / "a");
    first.write("one");
    OutputFile second(std::move(first));
    second.write("two");
    second.commit();
  }
  EXPECT_EQ(read_file(folder / "a", kLimit), "onetwo");
}

TEST(OutputFile, KeepsTheOrderOfSmallAndLargePieces) {
  const TemporaryFolder folder;
  std::string want;
  OutputFile file(folder / "a");
  for (const std::size_t size : {1U, 70000U, 0U, 65535U, 2U, 65536U, 20000000U, 3U}) {
    const std::string piece(size, static_cast<char>('a' + want.size() % 23));
    file.write(piece);
    want += piece;
  }
  file.commit();
  EXPECT_TRUE(read_file(folder / "a", kLimit) == want);
}

TEST(OutputFile, HasTheModeThatTheUmaskLeaves) {
  const TemporaryFolder folder;
  const mode_t mask = ::umask(022);
  write_file(folder / "a", "");
  ::umask(mask);
  struct stat status;
  ASSERT_EQ(::stat((folder / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0644U);
}

TEST(OutputFile, StepsAsideForATemporaryFileInUse) {
  const TemporaryFolder folder;
  OutputFile first(folder / "a");
  OutputFile second(folder / "a");
  first.write("first");
  second.write("second");
  first.commit();
  second.commit();
  EXPECT_EQ(read_file(folder / "a", kLimit), "second");
}

TEST(OutputFile, LeavesTheOldFileWholeWhicheverOperationFails) {
  const TemporaryFolder folder;
  const std::string old_text = "old", new_text(100000, 'n');
  int operations = 0;
  {
    const Fault none(-1, 0);
    write_file(folder / "a", new_text);
    operations = none.count();
  }
  ASSERT_GE(operations, 6);  // open, write, fsync, close, rename, and the folder's open and fsync
  for (int strike = 0; strike < operations; ++strike) {
    write_file(folder / "a", old_text);
    const Fault fault(strike, ENOSPC);
    const Error error = error_of([&] { write_file(folder / "a", new_text); });
    EXPECT_EQ(error.code(), ExitCode::kResource);
    EXPECT_TRUE(contains(error.hint(), "space"));
    const std::string text = read_file(folder / "a", kLimit);
    EXPECT_TRUE(text == old_text || text == new_text) << "operation " << strike;
    EXPECT_EQ(folder.entries(), 1U) << "operation " << strike;
  }
}

TEST(OutputFile, NamesAFolderThatIsMissing) {
  const Error error = error_of([] { write_file("/nonexistent-folder/a", ""); });
  EXPECT_EQ(error.code(), ExitCode::kResource);
  EXPECT_TRUE(contains(error.what(), "/nonexistent-folder/a: cannot create: No such file or directory"));
}

TEST(CopyFile, CopiesEveryByte) {
  const TemporaryFolder folder;
  const std::string text(300000, '\xFE');
  write_file(folder / "a", text);
  graft::copy_file(folder / "a", folder / "b");
  EXPECT_TRUE(read_file(folder / "b", kLimit) == text);
}

TEST(AppendFile, GrowsAnExistingFile) {
  const TemporaryFolder folder;
  AppendFile(folder / "log").append("one\n");
  AppendFile log(folder / "log");
  log.append("two\n");
  log.append("three\n");
  log.sync();
  EXPECT_EQ(read_file(folder / "log", kLimit), "one\ntwo\nthree\n");
}

TEST(AppendFile, SaysThatTheDiskIsFull) {
  const TemporaryFolder folder;
  AppendFile log(folder / "log");
  const Fault fault(0, ENOSPC);
  EXPECT_EQ(error_of([&] { log.append("x\n"); }).code(), ExitCode::kResource);
}

}  // namespace
}  // namespace graft
