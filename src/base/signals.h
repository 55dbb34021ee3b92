#pragma once

namespace graft {

/// From now on SIGINT, SIGTERM, SIGHUP and SIGUSR1 only raise a flag; a second one ends the process at once.
/// SIGPIPE is ignored.
void catch_stop_signals();
/// True once such a signal came: the work in hand should save and stop (exit 75).
bool stop_requested();

}  // namespace graft
