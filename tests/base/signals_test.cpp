#include "base/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/error.h"

namespace graft {
namespace {

// The status of a child that runs `work` with the handlers set; they must not stay in the test program.
template <class Work>
int status_of_child(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    catch_stop_signals();
    ::_exit(work());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(StopSignals, RaiseTheFlagAndTheProcessGoesOn) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    const int status = status_of_child([&] {
      const bool before = stop_requested();
      std::raise(signal);
      return !before && stop_requested() ? 17 : 1;
    });
    EXPECT_TRUE(WIFEXITED(status)) << signal;
    EXPECT_EQ(WEXITSTATUS(status), 17) << signal;
  }
}

TEST(StopSignals, AreAnErrorToWorkWithNothingToSave) {
  const int status = status_of_child([] {
    check_not_stopped();
    std::raise(SIGTERM);
    try {
      check_not_stopped();
    } catch (const Error& error) {
      return static_cast<int>(error.code());
    }
    return 0;
  });
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(ExitCode::kStopped));
}

TEST(StopSignals, EndTheProcessTheSecondTime) {
  const int status = status_of_child([] {
    std::raise(SIGINT);
    std::raise(SIGTERM);
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(StopSignals, LeaveTheHangUpOfNohupIgnored) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGHUP, SIG_IGN);
    catch_stop_signals();
    std::raise(SIGHUP);
    ::_exit(stop_requested() ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(StopSignals, AClosedPipeIsAnErrorNotADeath) {
  EXPECT_EQ(status_of_child([] {
              ignore_closed_pipes();
              return std::raise(SIGPIPE);
            }),
            0);
}

}  // namespace
}  // namespace graft
