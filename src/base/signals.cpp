#include "base/signals.h"

#include <csignal>
#include <initializer_list>

#include "base/error.h"

namespace graft {
namespace {

// A signal handler can only reach a static; written by the handler, read by stop_requested.
volatile std::sig_atomic_t stop_flag = 0;

extern "C" void note_stop(int signal) {
  if (stop_flag != 0) {
    // The second one: the default action ends the process as soon as this handler returns.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  stop_flag = 1;
}

}  // namespace

void ignore_closed_pipes() { std::signal(SIGPIPE, SIG_IGN); }

void catch_stop_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    struct sigaction action = {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
      continue;  // nohup, `&` in scripts
    action = {};
    action.sa_handler = note_stop;
    sigemptyset(&action.sa_mask);
    // No SA_RESTART: a prompt that waits for a line must notice Ctrl-C.
    ::sigaction(signal, &action, nullptr);
  }
}

bool stop_requested() { return stop_flag != 0; }

void check_not_stopped() {
  check(!stop_requested(), ExitCode::kStopped, "stopped by a signal; nothing was written");
}

}  // namespace graft
