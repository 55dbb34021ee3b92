#include "base/temporary.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "base/file.h"
#include "temporary_folder.h"

namespace graft {
namespace {

/// What remove_left_temporaries says.
std::string said_of(const Path& path) {
  testing::internal::CaptureStderr();
  remove_left_temporaries(path);
  return testing::internal::GetCapturedStderr();
}

/// A folder of two files, 5,000 bytes, as a killed run leaves it.
void leave_folder(const Path& path) {
  make_folder(path / "below");
  write_file(path / "a", std::string(3000, 'a'));
  write_file(path / "below" / "b", std::string(2000, 'b'));
}

TEST(Temporary, OfKilledRunsIsRemovedAndSaidInALine) {
  const TemporaryFolder place;
  leave_folder(place / ".out.tmp-4711-0");
  write_file(place / ".out.tmp-1-17", std::string(1500, 'c'));
  const std::string said = said_of(place / "out");
  EXPECT_EQ(place.entries(), 0U);
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2);
  EXPECT_NE(said.find(".out.tmp-4711-0, which a killed run left (5 kB)\n"), said.npos) << said;
}

TEST(Temporary, WithoutBytesIsRemovedWithoutAWord) {
  const TemporaryFolder place;
  make_folder(place / ".out.tmp-4711-0");
  write_file(place / ".out.tmp-4711-1", "");
  EXPECT_EQ(said_of(place / "out"), "");
  EXPECT_EQ(place.entries(), 0U);
}

TEST(Temporary, OfALiveWriterStays) {
  const TemporaryFolder place;
  OutputFolder live(place / "out");
  write_file(live.temporary() / "a", "mine");
  OutputFile file(place / "f");
  file.write(std::string(100000, 'f'));
  EXPECT_EQ(said_of(place / "out") + said_of(place / "f"), "");
  {
    OutputFolder other(place / "out");
    write_file(place / "f", "other");
  }
  EXPECT_EQ(read_file(live.temporary() / "a", 10), "mine");
  live.commit();
  file.commit();
  EXPECT_EQ(read_file(place / "out" / "a", 10), "mine");
  EXPECT_EQ(read_file(place / "f", 1 << 20).size(), 100000U);
  EXPECT_EQ(place.entries(), 2U);
}

// The file is closed before it gets its name; what is locked must be locked until then.
TEST(Temporary, StaysUntilItHasItsName) {
  const TemporaryFolder place;
  OutputFile file(place / "f");
  file.write("text");
  int renamed = 0;
  set_file_fault([&](std::string_view operation, const Path&) {
    if (operation == "rename" && renamed++ == 0) remove_left_temporaries(place / "f");
    return 0;
  });
  file.commit();
  set_file_fault({});
  EXPECT_EQ(renamed, 1);
  EXPECT_EQ(read_file(place / "f", 10), "text");
}

TEST(Temporary, IsLeftAloneWhereLocksDoNotWork) {
  const TemporaryFolder place;
  leave_folder(place / ".out.tmp-4711-0");
  set_file_fault([](std::string_view operation, const Path&) { return operation == "flock" ? ENOTSUP : 0; });
  EXPECT_EQ(said_of(place / "out"), "");
  {
    OutputFolder output(place / "out");
    write_file(output.temporary() / "a", "text");
    output.commit();
  }
  set_file_fault({});
  EXPECT_EQ(read_file(place / "out" / "a", 10), "text");
  EXPECT_TRUE(std::filesystem::exists(place / ".out.tmp-4711-0"));
}

TEST(Temporary, OfOtherNamesAndWhatOnlyLooksAlikeStays) {
  const TemporaryFolder place;
  const std::vector<std::string> others = {".out.tmp-",     ".out.tmp-1",   ".out.tmp-1-",
                                           ".out.tmp--1",   ".out.tmp-a-1", ".out.tmp-1-1.x",
                                           ".out2.tmp-1-1", "out.tmp-1-1",  ".out.gguf.tmp-1-1"};
  for (const std::string& name : others) write_file(place / name, "text");
  std::filesystem::create_symlink(place / ".out.tmp-", place / ".out.tmp-1-1");
  EXPECT_EQ(said_of(place / "out"), "");
  EXPECT_EQ(place.entries(), others.size() + 1);
  EXPECT_EQ(said_of(place / "missing" / "out"), "");
}

// Another process may take what is not locked yet for dead.
TEST(Temporary, IsMadeAgainWhereItIsRemovedBeforeItIsLocked) {
  const TemporaryFolder place;
  int locks = 0;
  set_file_fault([&](std::string_view operation, const Path& path) {
    if (operation == "flock" && locks++ == 0) std::filesystem::remove_all(path);
    return 0;
  });
  const Temporary folder = make_temporary_folder(place / "out");
  locks = 0;
  const Temporary file = make_temporary_file(place / "f");
  set_file_fault({});
  EXPECT_TRUE(is_named(folder.held, folder.path));
  EXPECT_TRUE(is_named(file.held, file.path));
}

}  // namespace
}  // namespace graft
