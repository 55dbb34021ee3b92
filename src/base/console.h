#pragma once

#include <string>
#include <string_view>

namespace graft {

/// Messages and progress, on stderr; results go to stdout and not through here.
/// Colours and in-place progress only where stderr is a terminal and NO_COLOR is unset; plain lines
/// elsewhere.
void say(std::string_view line);
/// `warning: …`.
void warn(std::string_view line);
/// Redraws one progress line on a terminal (empty clears it); nothing in a file.
void show_progress(std::string_view line);
bool stderr_is_terminal();
bool stdout_is_terminal();

}  // namespace graft
