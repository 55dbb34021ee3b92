#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "base/staged_output.h"
#include "temporary_folder.h"

namespace graft {
namespace {

constexpr std::uint64_t kLimit = 1 << 20;
constexpr int kDone = 0;

// Runs `work` in a process of its own that is killed right before file operation number `strike`. True where
// it was, false where it ended before.
bool killed_at(int strike, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    int count = 0;
    set_file_fault([&](std::string_view, const Path&) {
      if (count++ == strike) ::kill(::getpid(), SIGKILL);
      return 0;
    });
    work();
    ::_exit(kDone);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == kDone);
  return WIFSIGNALED(status);
}

void write_folder(const Path& path) {
  OutputFolder folder(path);
  write_file(folder.temporary() / "one", std::string(200000, '1'));
  write_file(folder.temporary() / "two", "2");
  folder.commit();
}

bool is_whole_folder(const Path& path) {
  return read_file(path / "one", kLimit).size() == 200000 && read_file(path / "two", kLimit) == "2";
}

TEST(Killed, AFolderIsWholeOrAbsentAndTheNextRunLeavesNothingElse) {
  int strike = 0, left_behind = 0;
  for (bool killed = true; killed; ++strike) {
    const TemporaryFolder place;
    killed = killed_at(strike, [&] { write_folder(place / "out"); });
    if (std::filesystem::exists(place / "out")) {
      EXPECT_TRUE(is_whole_folder(place / "out")) << "operation " << strike;
      continue;
    }
    left_behind += place.entries() > 0 ? 1 : 0;
    write_folder(place / "out");
    EXPECT_TRUE(is_whole_folder(place / "out")) << "operation " << strike;
    EXPECT_EQ(place.entries(), 1U) << "operation " << strike;
  }
  EXPECT_GT(left_behind, 10);
}

TEST(Killed, WhatIsStagedAppearsLastAndWhole) {
  const auto write = [](const Path& path) {
    StagedOutput output(path);
    write_file(output.place(), std::string(200000, 'm'));
    write_file(output.place().parent_path() / "m.note", "n");
    output.commit();
  };
  int strike = 0, hidden = 0;
  for (bool killed = true; killed; ++strike) {
    const TemporaryFolder place;
    killed = killed_at(strike, [&] { write(place / "m.gguf"); });
    if (std::filesystem::exists(place / "m.gguf")) {
      EXPECT_THROW(write(place / "m.gguf"), Error);
    } else {
      hidden += place.entries() > 0 ? 1 : 0;
      write(place / "m.gguf");
    }
    EXPECT_EQ(place.entries(), 2U) << "operation " << strike;
    EXPECT_EQ(read_file(place / "m.gguf", kLimit).size(), 200000U) << "operation " << strike;
    EXPECT_EQ(read_file(place / "m.note", kLimit), "n") << "operation " << strike;
  }
  EXPECT_GT(hidden, 10);
}

TEST(Killed, AFileIsTheOldOneOrTheNewOne) {
  const std::string text(200000, 'x');
  int left_behind = 0, replaced = 0, strike = 0;
  for (bool killed = true; killed; ++strike) {
    const TemporaryFolder place;
    write_file(place / "a", "old");
    killed = killed_at(strike, [&] { write_file(place / "a", text); });
    const std::string found = read_file(place / "a", kLimit);
    EXPECT_TRUE(found == "old" || found == text) << "operation " << strike;
    replaced += found == text ? 1 : 0;
    left_behind += place.entries() > 1 ? 1 : 0;
    write_file(place / "a", text);
    EXPECT_EQ(read_file(place / "a", kLimit), text);
    EXPECT_EQ(place.entries(), 1U) << "operation " << strike;
  }
  EXPECT_GT(left_behind, 2);
  EXPECT_GT(replaced, 0);
}

// The run that tidies up may be killed in its turn.
TEST(Killed, WhatIsLeftIsGoneAfterTheFirstRunThatEnds) {
  int strike = 0;
  for (bool killed = true; killed; ++strike) {
    const TemporaryFolder place;
    for (const int first : {3, 6, 8}) killed_at(first, [&] { write_folder(place / "out"); });
    killed = killed_at(strike, [&] { write_folder(place / "out"); });
    if (!std::filesystem::exists(place / "out")) write_folder(place / "out");
    EXPECT_TRUE(is_whole_folder(place / "out")) << "operation " << strike;
    EXPECT_EQ(place.entries(), 1U) << "operation " << strike;
  }
  EXPECT_GT(strike, 15);
}

}  // namespace
}  // namespace graft
