#pragma once

namespace graft {

/// From now on SIGINT, SIGTERM, SIGHUP and SIGUSR1 only raise a flag; a second one ends the process at once.
/// For work that asks for the flag: without this they end the process as ever.
void catch_stop_signals();
/// From now on a closed pipe is an error of the write, not a signal.
void ignore_closed_pipes();
/// True once such a signal came: the work in hand should save and stop (exit 75).
bool stop_requested();
/// For work that has nothing to save. Error (kStopped) once such a signal came.
void check_not_stopped();

}  // namespace graft
