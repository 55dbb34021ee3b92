#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "expect_error.h"
#include "temporary_folder.h"

namespace graft {
namespace {

TEST(MappedFile, HoldsTheBytesOfTheFile) {
  const TemporaryFolder folder;
  write_file(folder / "a", std::string_view("x\0y", 3));
  const MappedFile file(folder / "a");
  ASSERT_EQ(file.bytes().size(), 3U);
  EXPECT_EQ(file.bytes()[1], std::byte{0});
  EXPECT_EQ(file.bytes()[2], std::byte{'y'});
}

TEST(MappedFile, OfAnEmptyFileIsEmpty) {
  const TemporaryFolder folder;
  write_file(folder / "a", "");
  EXPECT_TRUE(MappedFile(folder / "a").bytes().empty());
  EXPECT_EQ(read_file(folder / "a", 0), "");
}

TEST(MappedFile, CopiesKeepTheBytesAliveWhenTheFileIsGone) {
  const TemporaryFolder folder;
  write_file(folder / "a", "kept");
  auto first = std::make_unique<MappedFile>(folder / "a");
  const MappedFile second = *first;
  first.reset();
  graft::remove_all(folder / "a");
  EXPECT_EQ(second.bytes()[0], std::byte{'k'});
}

TEST(MappedFile, RefusesWhatIsNoRegularFileWithoutWaiting) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  for (const Path& path : {folder / "fifo", folder.path(), Path("/dev/zero"), folder / "missing"}) {
    const Error mapped = error_of([&] { MappedFile file(path); });
    const Error read = error_of([&] { read_file(path, 10); });
    EXPECT_EQ(mapped.code(), ExitCode::kBadInput);
    EXPECT_EQ(read.code(), ExitCode::kBadInput);
    EXPECT_TRUE(contains(mapped.what(), path.string()));
  }
}

TEST(ReadFile, RefusesMoreThanItsLimitAndTakesExactlyIt) {
  const TemporaryFolder folder;
  write_file(folder / "a", "12345");
  EXPECT_EQ(read_file(folder / "a", 5), "12345");
  EXPECT_TRUE(contains(error_of([&] { read_file(folder / "a", 4); }).what(), "too large"));
}

TEST(ReadFile, ReadsFilesThatHideTheirSize) {
  EXPECT_TRUE(contains(read_file("/proc/self/status", 1 << 20), "VmHWM"));
  EXPECT_TRUE(contains(error_of([&] { read_file("/proc/self/status", 16); }).what(), "too large"));
}

}  // namespace
}  // namespace graft
